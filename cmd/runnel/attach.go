package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

type attachCmd struct {
	target
	AfterSeq int64  `name:"after-seq" help:"Place in the session's log behind which to begin." placeholder:"N"`
	Stdin    bool   `short:"i" help:"Forward stdin."`
	ID       string `arg:"" help:"The session's id, or a prefix of it that no other has."`
}

// Validate implements kong's check of values.
func (c *attachCmd) Validate() error {
	if c.AfterSeq < 0 {
		return errors.New("--after-seq must not be negative")
	}
	return c.target.Validate()
}

// Run follows the session to its end, and has its exit status. Ctrl-C leaves the session, which runs on, and so does a
// stdout that nobody reads.
func (c *attachCmd) Run(w *world) error {
	conn, err := c.connect(w.ctx, client.Options{Reconnect: c.reconnect(w)})
	if err != nil {
		return &statusError{exitRunnelFailed, err}
	}
	defer conn.Close()
	id, err := resolve(w.ctx, conn, c.ID)
	if err != nil {
		return &statusError{exitRunnelFailed, err}
	}
	e := newExecution(w, c.Stdin)
	e.conn = conn
	return e.attach(rpc.AttachParams{SessionID: id, AfterSeq: c.AfterSeq})
}

func (e *execution) attach(p rpc.AttachParams) error {
	ctx, giveUp := context.WithCancelCause(e.w.ctx)
	defer giveUp(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unlessIgnored(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)...)
	defer signal.Stop(signals)
	s, _, err := e.conn.Attach(ctx, p, e.events)
	if err != nil {
		return &statusError{exitRunnelFailed, err}
	}
	go func() {
		select {
		case sig := <-signals:
			giveUp(&statusError{exitSignalBase + int(sig.(syscall.Signal)), nil})
		case <-e.tell: // as a run would tell its command; this one is not ours to end
			giveUp(e.unwritten())
		case <-ctx.Done():
		}
	}()
	if e.stdin {
		go e.feed(ctx, giveUp, s)
	}
	err = e.wait(ctx, s)
	if ctx.Err() != nil { // or the last one attached, by going, would end it
		short, cancel := context.WithTimeout(e.w.ctx, abandonTime)
		defer cancel()
		_ = s.Detach(short)
	}
	return err
}

// unwritten is how a verb ends that can't write what it is there to print.
func (e *execution) unwritten() error {
	if errors.Is(e.failed, syscall.EPIPE) {
		return &statusError{exitSignalBase + int(syscall.SIGPIPE), nil}
	}
	return &statusError{exitRunnelFailed, e.failed}
}
