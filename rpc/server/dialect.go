package server

import (
	"syscall"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/wire"
	"github.com/runnel-rpc/runnel/session"
)

// dialect contains the differences between the protocols of /ws and /ws/mcp.
type dialect struct {
	path string // for the audit log
	// parse splits a message into its calls, as wire.ParseMessage does.
	parse func(msg []byte, maxBatch int, calls []wire.Call) ([]wire.Call, bool, *wire.Error)
	// lenient ignores unknown fields of params.
	lenient bool
	// adjust changes decoded params. It gets a pointer to them.
	adjust func(params any)
	// byLine puts each line into a process.output of its own.
	byLine bool
	// signalCode returns the exit_code of a command that was terminated by a signal.
	signalCode func(syscall.Signal) *int
	// cancel cancels a session for a control CANCEL.
	cancel func(r *request, s *session.Session, grace rpc.Seconds, by syscall.Signal) answer
}

// current is the dialect of /ws.
var current = dialect{
	path:       "/ws",
	parse:      wire.ParseMessage,
	adjust:     func(any) {},
	signalCode: func(syscall.Signal) *int { return nil },
	cancel:     controlCancel,
}

// controlCancel replies when the session has ended.
func controlCancel(r *request, s *session.Session, grace rpc.Seconds, by syscall.Signal) answer {
	return cancelAndReply(r, s, grace, by, func(c rpc.CancelResult) any {
		return rpc.ControlResult{Status: c.Status, SessionID: c.SessionID}
	})
}

// completion converts a completion record for the clients of the dialect.
func (d *dialect) completion(of named, r *session.Record) rpc.Completion {
	c := completion(of, r)
	if c.Signal != nil {
		c.ExitCode = d.signalCode(r.Exit.Signal)
	}
	return c
}
