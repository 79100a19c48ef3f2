//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// stdin sends input to a command that returns it.
func (a *actor) stdin(ctx context.Context) error {
	c, err := a.connect(ctx, "stdin")
	if err != nil {
		return err
	}
	defer c.Close()
	p := argv("cat")
	p.Stdin, p.Mode, p.Encoding = rpc.StdinPipe, rpc.ModeRaw, oneOf(a, rpc.EncodingBase64, rpc.EncodingUTF8)
	var r, sent received
	s, err := c.execute(ctx, p, r.events())
	if err != nil {
		return err
	}
	w := s.StdinWriter(ctx)
	for range 1 + a.random.IntN(20) {
		data := bytes.Repeat([]byte{byte('a' + a.random.IntN(26))}, 1+a.random.IntN(100_000))
		sent.add(data)
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	rec, err := s.Wait(ctx)
	if err := expectRecord(rec, err, rpc.ReasonExited, 0); err != nil {
		return err
	}
	if r != sent {
		return fmt.Errorf("sent %+v, received %+v", sent, r)
	}
	return nil
}

// terminal uses a shell on a terminal, which ends at an end of file.
func (a *actor) terminal(ctx context.Context) error {
	c, err := a.connect(ctx, "terminal")
	if err != nil {
		return err
	}
	defer c.Close()
	p := argv("sh")
	p.PTY = &rpc.PTY{Rows: 24, Cols: 80}
	var size atomic.Bool
	var all strings.Builder
	s, err := c.execute(ctx, p, client.Events{Output: func(o *client.Output) {
		all.Write(o.Data)
		size.Store(size.Load() || strings.Contains(all.String(), "31 101"))
	}})
	if err != nil {
		return err
	}
	if err := s.Resize(ctx, 31, 101); err != nil {
		return err
	}
	for _, line := range []string{"sleep 1000 & stty size\n", "exit 7\n"} {
		if err := s.WriteBytes(ctx, []byte(line), false); err != nil {
			return err
		}
	}
	rec, err := s.Wait(ctx)
	if err := expectRecord(rec, err, rpc.ReasonExited, 7); err != nil {
		return err
	}
	if !size.Load() {
		return fmt.Errorf("the terminal printed %q", all.String())
	}
	return nil
}

// control pauses, resumes and signals a command.
func (a *actor) control(ctx context.Context) error {
	c, err := a.connect(ctx, "control")
	if err != nil {
		return err
	}
	defer c.Close()
	ready := make(chan struct{}, 1)
	s, err := c.execute(ctx, shell(`trap 'echo signal' USR1; trap 'exit 5' USR2; echo ready; while :; do sleep 0.02; done`),
		client.Events{Output: func(*client.Output) {
			select {
			case ready <- struct{}{}:
			default:
			}
		}})
	if err != nil {
		return err
	}
	await := func() error {
		select {
		case <-ready:
			return nil
		case <-s.Done():
			return errors.New("the session has ended")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	leader := rpc.ControlParams{SessionID: s.ID(), Type: rpc.ControlSignal, Signal: "USR1", To: "leader"}
	err = await()
	for range 3 {
		err = errors.Join(err, s.Control(ctx, rpc.ControlPause), c.Call(ctx, rpc.MethodControl, leader, nil), s.Control(ctx, rpc.ControlResume), await())
	}
	leader.Signal = "USR2"
	err = errors.Join(err, c.Call(ctx, rpc.MethodControl, leader, nil))
	if err != nil {
		return err
	}
	rec, err := s.Wait(ctx)
	return expectRecord(rec, err, rpc.ReasonExited, 5)
}
