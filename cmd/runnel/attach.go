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
	AfterSeq int64  `name:"after-seq" help:"Begin after this position in the session's log." placeholder:"N"`
	Stdin    bool   `short:"i" help:"Forward stdin."`
	ID       string `arg:"" help:"The session: its id, a unique prefix of it, or its name."`
}

// Validate implements kong's check of values.
func (c *attachCmd) Validate() error {
	if c.AfterSeq < 0 {
		return errors.New("--after-seq must not be negative")
	}
	return c.target.Validate()
}

// Run prints the session's output until it ends, and returns its exit status. On SIGINT, or if
// stdout is closed, it detaches; the session continues.
func (c *attachCmd) Run(inv *invocation) error {
	conn, err := c.connect(inv.ctx, client.Options{Reconnect: c.reconnect(inv)})
	if err != nil {
		return &statusError{exitRunnelFailed, err}
	}
	defer conn.Close()
	id, err := resolveID(inv.ctx, conn, c.ID)
	if err != nil {
		return &statusError{exitRunnelFailed, err}
	}
	e := newExecution(inv, c.Stdin)
	e.conn = conn
	defer e.reportSandbox(false)
	return e.attach(rpc.AttachParams{SessionID: id, AfterSeq: c.AfterSeq})
}

func (e *execution) attach(p rpc.AttachParams) error {
	ctx, abort := context.WithCancelCause(e.inv.ctx)
	defer abort(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, notIgnored(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)...)
	defer signal.Stop(signals)
	s, _, err := e.conn.Attach(ctx, p, e.events)
	if err != nil {
		return &statusError{exitRunnelFailed, err}
	}
	go func() {
		select {
		case sig := <-signals:
			abort(&statusError{exitSignalBase + int(sig.(syscall.Signal)), nil})
		case <-e.controls: // stdout or stderr is closed; the session is not signaled
			abort(e.outputError())
		case <-ctx.Done():
		}
	}()
	if e.stdin {
		go e.forwardStdin(ctx, abort, s)
	}
	err = e.wait(ctx, s, &rpc.ExecuteParams{})
	if ctx.Err() != nil { // a session whose last client disconnects may end; one that is detached from does not
		short, cancel := context.WithTimeout(e.inv.ctx, abandonTimeout)
		defer cancel()
		_ = s.Detach(short)
	}
	return err
}

// outputError returns the error of attach after a write to stdout or stderr has failed.
func (e *execution) outputError() error {
	if errors.Is(e.writeErr, syscall.EPIPE) {
		return &statusError{exitSignalBase + int(syscall.SIGPIPE), nil}
	}
	return &statusError{exitRunnelFailed, e.writeErr}
}
