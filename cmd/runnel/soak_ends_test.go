//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// stubborn is a command with a descendant that leaves its process group; neither ends at SIGTERM.
const stubborn = `trap '' TERM; setsid sh -c 'trap "" TERM; while :; do sleep 1000; done' & while :; do sleep 1000; done`

// cancels ends sessions by cancel, by control, and by canceling the execute, sometimes twice.
func (a *actor) cancels(ctx context.Context) error {
	c, err := a.connect(ctx, "cancel")
	if err != nil {
		return err
	}
	defer c.Close()
	p := shell(oneOf(a, "exec sleep 1000", stubborn))
	s, err := c.execute(ctx, p, client.Events{})
	if err != nil {
		return err
	}
	cancel := rpc.CancelParams{SessionID: s.ID(), Grace: seconds(0.1)}
	twice := make(chan error, 1)
	go func() {
		err := c.Call(ctx, rpc.MethodCancel, cancel, nil)
		if notFound(err) {
			err = nil
		}
		twice <- err
	}()
	if a.chance(2) {
		err = s.Control(ctx, rpc.ControlCancel)
	} else {
		err = c.Call(ctx, rpc.MethodCancel, cancel, nil)
	}
	if err = errors.Join(err, <-twice); err != nil {
		return err
	}
	rec, err := s.Wait(ctx)
	return expectRecord(rec, err, rpc.ReasonCanceled, -1)
}

// descendants runs commands that exit before their descendants, some of which leave the process
// group.
func (a *actor) descendants(ctx context.Context) error {
	c, err := a.connect(ctx, "descendants")
	if err != nil {
		return err
	}
	defer c.Close()
	p := shell(oneOf(a, "(setsid sleep 0.2 &); exit 3", "sleep 0.1 & (sleep 0.2 &) ; setsid sh -c 'sleep 0.1 & sleep 0.3' & exit 3"))
	p.OnLeaderExit = oneOf(a, rpc.OnLeaderExitKill, rpc.OnLeaderExitWait)
	rec, err := c.run(ctx, p, client.Events{})
	return expectRecord(rec, err, rpc.ReasonExited, 3)
}

// limitedFile is the file that commands with a limit write. It exists from the start.
const limitedFile = "limited"

// deadlines runs commands that the server or the kernel ends.
func (a *actor) deadlines(ctx context.Context) error {
	c, err := a.connect(ctx, "deadlines")
	if err != nil {
		return err
	}
	defer c.Close()
	p, reason := shell("exec sleep 1000"), rpc.ReasonTimeout
	switch a.random.IntN(3) {
	case 0:
		p.Timeout = seconds(0.1)
	case 1:
		p.StreamTimeout, reason = seconds(0.1), rpc.ReasonStreamTimeout
	case 2:
		most := int64(10_000)
		p = argv("sh", "-c", "exec head -c 1000000 /dev/zero >"+a.dir.path(limitedFile))
		p.Limits, reason = &rpc.Limits{FileBytes: &most}, rpc.ReasonLimit
	}
	rec, err := c.run(ctx, p, client.Events{})
	return expectRecord(rec, err, reason, -1)
}

// disconnects closes a connection with sessions in one of several ways.
func (a *actor) disconnects(ctx context.Context) error {
	c, err := a.connect(ctx, "disconnect")
	if err != nil {
		return err
	}
	defer c.Close()
	for range 1 + a.random.IntN(3) {
		if _, err = c.execute(ctx, shell(oneOf(a, "exec sleep 1000", stubborn, "exec yes")), client.Events{}); err != nil {
			break
		}
	}
	a.pause(100)
	switch a.random.IntN(4) {
	case 0:
		_ = c.Close()
	case 1:
		c.Abort()
	case 2:
		c.link.reset()
	case 3:
		a.loseReply(ctx, c)
	}
	return err
}

// loseReply sends an execute and closes the connection before the reply: whether there is a session
// is not known.
func (a *actor) loseReply(ctx context.Context, c *soakClient) {
	p := argv("sleep", "1000")
	p.SessionID = a.newID()
	a.ledger.ask(a.key(p.SessionID), "lost reply")
	_ = c.Notify(ctx, rpc.MethodExecute, p)
	c.link.reset()
}

// lingers leaves a session without a connection until it is ended.
func (a *actor) lingers(ctx context.Context) error {
	c, err := a.connect(ctx, "linger")
	if err != nil {
		return err
	}
	defer c.Close()
	p := argv("sleep", "1000")
	p.OnDisconnect, p.Linger = rpc.OnDisconnectKeep, seconds(0.2)
	s, err := c.execute(ctx, p, client.Events{})
	if err == nil && a.chance(2) {
		err = s.Detach(ctx)
	}
	return err
}

// idles has a connection and a session that do nothing, for longer than the server's ping intervals.
func (a *actor) idles(ctx context.Context) error {
	c, err := a.connect(ctx, "idle")
	if err != nil {
		return err
	}
	defer c.Close()
	p := shell("read line")
	p.Stdin = rpc.StdinPipe
	s, err := c.execute(ctx, p, client.Events{})
	if err != nil {
		return err
	}
	time.Sleep(time.Duration(a.random.Int64N(int64(2 * soakPings)))) // idle
	if err := s.WriteBytes(ctx, []byte("line\n"), true); err != nil {
		return err
	}
	rec, err := s.Wait(ctx)
	return expectRecord(rec, err, rpc.ReasonExited, 0)
}

// killedClient kills the process of a client. The session of a client at a URL is kept for the
// client's next connection, and is ended here by another one.
func (a *actor) killedClient(ctx context.Context) error {
	x := exec.CommandContext(ctx, "runnel", append([]string{"run"}, append(a.access.clientFlags(), "--url="+a.url,
		"--token-file="+a.dir.path(a.name+".token"), "--json", "-c", oneOf(a, "exec sleep 1000", stubborn))...)...)
	x.Dir, x.Env = a.dir.dir, a.dir.env()
	out, err := x.StdoutPipe()
	if err != nil {
		return err
	}
	if err := x.Start(); err != nil {
		return err
	}
	id, err := startedID(out)
	if err == nil {
		a.ledger.ask(a.key(id), "killed client")
		a.ledger.answer(a.key(id), nil)
		a.recorder().follow(id, false)
		a.pause(50)
	}
	_ = x.Process.Signal(syscall.SIGKILL)
	_ = x.Wait()
	if err != nil { // the server has no slot for it
		return fmt.Errorf("%w: run: %v", errNoConnection, err)
	}
	return a.recorder().CallIdempotent(ctx, rpc.MethodCancel, rpc.CancelParams{SessionID: id}, nil)
}

// startedID reads the output of `run --json` up to the start of the session, and returns its id.
func startedID(out io.Reader) (string, error) {
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return "", err
		}
		var started struct{ Params rpc.StateEvent }
		if err := json.Unmarshal(line, &started); err != nil || started.Params.Status != "" { // connected is before it
			return started.Params.SessionID, err
		}
	}
}
