package server

import (
	"syscall"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/wire"
	"github.com/runnel-rpc/runnel/session"
)

// dialect is what differs between the paths on which connections come.
type dialect struct {
	// parse splits a message into its calls, as wire.ParseMessage does.
	parse func(msg []byte, maxBatch int, calls []wire.Call) ([]wire.Call, bool, *wire.Error)
	// lenient says that unknown fields of params are ignored.
	lenient bool
	// adjust changes decoded params, of which it gets a pointer.
	adjust func(params any)
	// byLine says that a process.output in lines mode has one line.
	byLine bool
	// signalCode is the exit_code of a command that a signal ended.
	signalCode func(syscall.Signal) *int
	// cancel cancels a session for a control CANCEL.
	cancel func(r *request, s *session.Session, grace rpc.Seconds, by syscall.Signal) answer
}

// current is that of the protocol as it is.
var current = dialect{
	parse:      wire.ParseMessage,
	adjust:     func(any) {},
	signalCode: func(syscall.Signal) *int { return nil },
	cancel:     cancelAndWait,
}

// cancelAndWait answers when the tree is gone or given up on.
func cancelAndWait(_ *request, s *session.Session, grace rpc.Seconds, by syscall.Signal) answer {
	return end(s, grace, by, func(c rpc.CancelResult) any {
		return rpc.ControlResult{Status: c.Status, SessionID: c.SessionID}
	})
}

// completion is the completion record as the connection's clients expect it.
func (d *dialect) completion(id string, r *session.Record) rpc.Completion {
	c := completion(id, r)
	if c.Signal != nil {
		c.ExitCode = d.signalCode(r.Exit.Signal)
	}
	return c
}
