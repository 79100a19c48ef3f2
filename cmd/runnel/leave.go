package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// errDetached is the error of an execution whose session goes on without it.
var errDetached = errors.New("detached")

// requestLeave makes the execution leave its session, because of the detach keys or a terminal that is
// closed. It does not block.
func (e *execution) requestLeave() { signalOnce(e.leaving) }

// leaveOnRequest leaves the session after requestLeave. If the session does not start within a short time, it
// ends the execution as a closed terminal does. Output may be shown before started is closed, so the user may
// leave before, too.
func (e *execution) leaveOnRequest(ctx context.Context, abort context.CancelCauseFunc, started <-chan struct{}) {
	select {
	case <-e.leaving:
	case <-ctx.Done():
		return
	}
	hangup := &statusError{exitSignalBase + int(syscall.SIGHUP), errInterrupted}
	select {
	case <-started:
	case <-ctx.Done():
		return
	case <-time.After(abandonTimeout):
		abort(hangup)
		return
	}
	switch {
	case e.inProcess: // nobody could come back
		e.controls <- rpc.ControlParams{Type: rpc.ControlCancel, Signal: "SIGHUP"}
	case e.lost.Load() && !e.livesOn: // it ends with its connection
		abort(hangup)
	default:
		e.awaitForwarded()
		e.detachFrom(e.session)
		abort(errDetached)
	}
}

// awaitForwarded waits until what was typed before the detach keys is sent, for a short time.
func (e *execution) awaitForwarded() {
	if e.keyboard == nil || e.lost.Load() {
		return
	}
	select {
	case <-e.keyboard.forwarded:
	case <-time.After(abandonTimeout):
	}
}

// detachFrom detaches from the session, which may end when its last client disconnects and does not when
// it has detached. Without a connection there is nothing to detach from.
func (e *execution) detachFrom(s *client.Session) {
	if e.lost.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(e.inv.ctx, abandonTimeout)
	defer cancel()
	if s.Detach(ctx) != nil {
		e.lost.Store(true)
	}
}

// closeAfterLeaving closes a client that has left its session. If the server did not answer, it does not
// wait for it.
func (e *execution) closeAfterLeaving() {
	if e.lost.Load() {
		e.conn.Abort()
	} else {
		_ = e.conn.Close()
	}
}

// reportDetached restores the terminal, and prints that the session goes on.
func (e *execution) reportDetached() {
	e.tty.restore(true)
	fmt.Fprintf(e.inv.stderr, "runnel: detached from %s\n", e.session.ID())
}
