package server

import (
	"syscall"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/session"
)

// controls are the control types except CANCEL. Each returns its result without the session id.
var controls = map[string]func(*session.Session, *rpc.ControlParams) (rpc.ControlResult, error){
	rpc.ControlPause: func(s *session.Session, _ *rpc.ControlParams) (rpc.ControlResult, error) {
		return rpc.ControlResult{Status: "paused"}, s.Pause()
	},
	rpc.ControlResume: func(s *session.Session, _ *rpc.ControlParams) (rpc.ControlResult, error) {
		return rpc.ControlResult{Status: "resumed"}, s.Resume()
	},
	rpc.ControlSignal: signal,
	rpc.ControlResize: resize,
}

func control(r *request, p *rpc.ControlParams) answer {
	audited := audit.Control{Action: p.Type, Signal: p.Signal, To: p.To}
	do := controls[p.Type]
	if do == nil && p.Type != rpc.ControlCancel {
		err := rpc.UnknownControl(p.Type)
		r.conn.auditControl(nil, p.SessionID, audited, err)
		return result(nil, err)
	}
	if do == nil {
		s, by, err := r.conn.findToCancel(p.SessionID, p.Signal)
		r.conn.auditControl(s, p.SessionID, audited, err)
		if err != nil {
			return result(nil, err)
		}
		return r.conn.dialect.cancel(r, s, p.Grace, by)
	}
	what := mayChange
	if p.Type == rpc.ControlSignal {
		what = mayEnd
	}
	s, err := r.conn.find(p.SessionID, what)
	if err != nil {
		r.conn.auditControl(nil, p.SessionID, audited, err)
		return result(nil, err)
	}
	if p.Type == rpc.ControlSignal {
		if err := checkSignal(p); err != nil {
			r.conn.auditControl(s, "", audited, err)
			return result(nil, err)
		}
	}
	return r.afterStart(s, func(refused error) (any, error) {
		if refused != nil {
			r.conn.auditControl(s, "", audited, refused)
			return nil, refused
		}
		res, err := do(s, p)
		res.SessionID = r.conn.name(s)
		r.conn.auditControl(s, "", audited, err)
		return res, err
	})
}

// checkSignal returns the error of a SIGNAL that can be sent to no session.
func checkSignal(p *rpc.ControlParams) error {
	if p.Signal == "" {
		return rpc.InvalidParams("signal", "signal is required")
	}
	if process.SignalByName(p.Signal) == syscall.SIGCONT { // continues what a command has stopped itself
		return nil
	}
	if _, bad := signalParam("signal", p.Signal); bad != nil {
		return bad
	}
	return nil
}

// signal sends a signal that checkSignal permits.
func signal(s *session.Session, p *rpc.ControlParams) (res rpc.ControlResult, err error) {
	sig := process.SignalByName(p.Signal)
	res.Status = "signaled"
	if p.To == rpc.ToLeader {
		return res, s.SignalLeader(sig)
	}
	res.NotSignaled, err = s.Signal(sig)
	return res, err
}

// signalParam returns the signal that a param names, or 0 if it is left out. SIGCONT is refused: it ends
// nothing.
func signalParam(field, name string) (syscall.Signal, *rpc.Error) {
	sig := process.SignalByName(name)
	switch {
	case name == "":
		return 0, nil
	case sig == 0:
		return 0, rpc.InvalidParams(field, "%s must be the name of a signal, like SIGINT", field)
	case sig == syscall.SIGCONT:
		return 0, rpc.InvalidParams(field, "SIGCONT does not end a command")
	case sig == syscall.SIGSTOP:
		return 0, rpc.InvalidParams(field, "%s is not sent as a signal: use PAUSE and RESUME", process.SignalName(sig))
	}
	return sig, nil
}

func resize(s *session.Session, p *rpc.ControlParams) (res rpc.ControlResult, err error) {
	switch {
	case s.Spec().Program.Terminal == nil:
		return res, rpc.InvalidParams("type", "RESIZE is for pty sessions only")
	case p.Rows == 0:
		return res, rpc.InvalidParams("rows", "rows is required")
	case p.Cols == 0:
		return res, rpc.InvalidParams("cols", "cols is required")
	}
	res.Status = "resized"
	return res, s.Resize(p.Rows, p.Cols)
}
