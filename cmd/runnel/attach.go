package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/runnel-rpc/runnel/cmd/runnel/internal/tty"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

type attachCmd struct {
	target
	AfterSeq   *int64         `name:"after-seq" help:"Print the log after this position, on a terminal too." placeholder:"N"`
	Stdin      bool           `short:"i" help:"Forward stdin. On a terminal, what is typed is forwarded to a session with a terminal anyway."`
	ReadOnly   bool           `name:"read-only" help:"Only watch: forward neither keys nor the size of this terminal. Ctrl-C leaves."`
	DetachKeys tty.DetachKeys `name:"detach-keys" help:"Keys that leave the session on a terminal, such as ctrl-p,ctrl-q; none for no keys. Default: ~. at the beginning of a line." default:"~." placeholder:"KEYS"`
	ID         string         `arg:"" help:"The session: its id, a unique prefix of it, or its name."`
}

// Validate implements kong's check of values.
func (c *attachCmd) Validate() error {
	switch {
	case c.AfterSeq != nil && *c.AfterSeq < 0:
		return errors.New("--after-seq must not be negative")
	case c.ReadOnly && c.Stdin:
		return errors.New("--read-only excludes --stdin")
	}
	return c.target.Validate()
}

// Run attaches to the session until it ends, and returns its exit status. On a signal, or if stdout is
// closed, it detaches; the session continues.
func (c *attachCmd) Run(inv *invocation) error {
	e := newExecution(inv, c.Stdin)
	e.livesOn = true
	conn, err := c.connect(inv.ctx, client.Options{Reconnect: c.reconnectExecution(e)})
	if err != nil {
		return &statusError{exitRunnelFailed, err}
	}
	e.conn = conn
	defer e.closeAfterLeaving()
	id, err := resolveID(inv.ctx, conn, c.ID)
	if err != nil {
		return &statusError{exitRunnelFailed, err}
	}
	defer e.reportSandbox(false)
	if c.AfterSeq == nil && hasCapability(conn.Connected(), "screen") {
		if err := c.attachTerminal(e, id); !errors.Is(err, errNoTerminal) {
			return err
		}
	}
	if c.AfterSeq != nil && c.Stdin && bothTerminals(inv) {
		return &statusError{exitUsage, errReplayedQueries}
	}
	if c.Stdin && isTerminal(inv.stdin) {
		e.replay, e.begun = new(replay), make(chan struct{})
	}
	p := rpc.AttachParams{SessionID: id}
	if c.AfterSeq != nil {
		p.AfterSeq = *c.AfterSeq
	}
	return e.attach(p)
}

// errReplayedQueries is the error of attach --after-seq -i on a terminal, which would answer queries in old
// output, and attach would forward the answers.
var errReplayedQueries = errors.New("--after-seq prints old output, whose queries the terminal would answer: --stdin is possible only without a terminal")

func bothTerminals(inv *invocation) bool {
	t := newTerminal(inv)
	return t.file != nil && t.out != nil
}

// errNoTerminal is the error of attachTerminal if this process or the session has no terminal.
var errNoTerminal = errors.New("no terminal")

// attachTerminal makes this terminal that of the session.
func (c *attachCmd) attachTerminal(e *execution, id string) error {
	t := newTerminal(e.inv)
	if t.file == nil || t.out == nil {
		return errNoTerminal
	}
	p := rpc.AttachParams{SessionID: id, Screen: true}
	if c.ReadOnly { // does not make the session wait
		p.SlowClient = rpc.SlowClientDrop
	} else if rows, cols, ok := t.size(); ok {
		p.Rows, p.Cols = rows, cols
	}
	e.tty, e.keyboard, e.begun = t, newKeyboard(c.DetachKeys, c.ReadOnly), make(chan struct{})
	err := e.attach(p)
	if isRefused(err, rpc.CodeInvalidParams, "screen") { // it has no terminal
		t.restore(false)
		e.tty, e.keyboard, e.begun = nil, nil, nil
		return errNoTerminal
	}
	t.restore(!e.ended)
	if isRefused(err, rpc.CodeForbidden, "rows") {
		return &statusError{exitRunnelFailed, fmt.Errorf("%w; --read-only watches the session", err)}
	}
	if errors.Is(err, errDetached) {
		e.reportDetached()
		return nil
	}
	return err
}

// isRefused reports whether the server has refused a param, with that code.
func isRefused(err error, code int, field string) bool {
	var refused *rpc.Error
	if !errors.As(err, &refused) || refused.Code != code {
		return false
	}
	data, _ := refused.Data.(rpc.Data)
	return data["field"] == field
}

// begin permits output. For attachTerminal it sets raw mode and begins to read the keyboard. This is not done
// before the server has attached: it may refuse, and until then Ctrl-C is a signal.
func (e *execution) begin(ctx context.Context, attached rpc.AttachResult) error {
	if e.begun == nil {
		return nil
	}
	if e.replay != nil {
		e.replay.end = attached.LastSeq
	}
	if e.tty != nil {
		if err := e.tty.begin(); err != nil {
			return err
		}
		go e.keyboard.read(ctx, e.inv.stdin, e.requestLeave)
	}
	close(e.begun)
	return nil
}

// isBegun waits until output can be written. It returns false if the execution ends before.
func (e *execution) isBegun() bool {
	if e.begun == nil {
		return true
	}
	select {
	case <-e.begun:
		return true
	case <-e.over:
		return false
	}
}

// attach follows a session until it ends.
func (e *execution) attach(p rpc.AttachParams) error {
	ctx, abort := context.WithCancelCause(e.inv.ctx)
	defer abort(nil)
	e.over = ctx.Done()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, notIgnored(e.detachSignals()...)...)
	defer signal.Stop(signals)
	attached := make(chan struct{})
	go e.leaveOnRequest(ctx, abort, attached)
	go func() {
		select {
		case sig := <-signals:
			abort(&statusError{exitSignalBase + int(sig.(syscall.Signal)), nil})
		case <-e.controls: // stdout or stderr is closed; the session is not signaled
			abort(e.outputError())
		case <-ctx.Done():
		}
	}()
	s, res, err := e.conn.Attach(ctx, p, e.events)
	if err == nil && ctx.Err() == nil {
		err = e.begin(ctx, res)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return &statusError{exitRunnelFailed, err}
	}
	e.session = s
	close(attached)
	if e.tty != nil {
		e.jobControl.tty, e.jobControl.attached = e.tty, true
		defer e.jobControl.listen()()
		go e.jobControl.run(ctx, s)
		go e.repaintOnRequest(ctx, s)
		if p.Rows > 0 {
			go e.tty.followSize(ctx, s, p.Rows, p.Cols)
		}
	}
	e.forwardInput(ctx, abort, s)
	err = e.wait(ctx, s, &rpc.ExecuteParams{})
	if ctx.Err() != nil && !errors.Is(err, errDetached) {
		e.detachFrom(s)
	}
	return err
}

// detachSignals are the signals that end attach. One that would kill this process must not leave a
// terminal in raw mode.
func (e *execution) detachSignals() []os.Signal {
	signals := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}
	if e.tty != nil {
		signals = append(signals, syscall.SIGQUIT)
	}
	return signals
}

// outputError returns the error of attach after a write to stdout or stderr has failed.
func (e *execution) outputError() error {
	if errors.Is(e.writeErr, syscall.EPIPE) {
		return &statusError{exitSignalBase + int(syscall.SIGPIPE), nil}
	}
	return &statusError{exitRunnelFailed, e.writeErr}
}
