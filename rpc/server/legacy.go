package server

import (
	"bytes"
	"syscall"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/wire"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/stream"
)

// legacy is the dialect of /ws/mcp, for clients of the Python cc_executor.
var legacy = dialect{
	path:       "/ws/mcp",
	parse:      wire.ParseUnversioned,
	lenient:    true,
	adjust:     legacyAdjust,
	byLine:     true,
	signalCode: legacyExitCode,
	cancel:     legacyCancel,
}

// legacyAdjust gives the timeout of an execute its old meaning, the longest silence, unless the
// client sets stream_timeout too, and makes Python write its output unbuffered, as the original
// server did.
func legacyAdjust(params any) {
	p, ok := params.(*rpc.ExecuteParams)
	if !ok {
		return
	}
	if !p.StreamTimeout.Set {
		if !p.Timeout.Null {
			p.StreamTimeout = p.Timeout
		}
		p.Timeout = rpc.Seconds{}
	}
	const unbuffered = "PYTHONUNBUFFERED"
	if _, set := p.Env[unbuffered]; !set {
		if p.Env == nil {
			p.Env = rpc.Env{}
		}
		one := "1"
		p.Env[unbuffered] = &one
	}
}

// legacyExitCode returns the exit code that Python has for a signal: -N for signal N.
func legacyExitCode(s syscall.Signal) *int {
	code := -int(s)
	return &code
}

// legacyCancel replies before it cancels, so that the reply is ahead of process.canceled, for which
// clients wait after it. In a batch the order is the other way round.
func legacyCancel(r *request, s *session.Session, grace rpc.Seconds, by syscall.Signal) answer {
	if isDone(s.Done()) {
		return controlCancel(r, s, grace, by) // reply with the status of the record
	}
	r.after = func() { cancelSession(s, grace, by) }
	return result(rpc.ControlResult{Status: rpc.StatusCanceled, SessionID: r.conn.name(s)}, nil)
}

// firstLine splits an item of output after its first line. rest has no data if there is no other
// line.
func firstLine(it stream.Item) (line, rest stream.Item) {
	n := bytes.IndexByte(it.Data, '\n') + 1
	if n == 0 || n == len(it.Data) {
		return it, stream.Item{}
	}
	line, rest = it, it
	line.Data, rest.Data = it.Data[:n], it.Data[n:]
	line.To = it.From + int64(n)
	rest.From = line.To
	line.Truncated = false // the end of the item was truncated, not this line
	rest.Dropped = 0       // bytes were dropped before the item, not here
	return line, rest
}
