package server

import (
	"context"
	"encoding/base64"
	"syscall"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

// handlers has a handler for each method of the table.
var handlers = map[string]handler{
	rpc.MethodExecute:       execute,
	rpc.MethodControl:       control,
	rpc.MethodCancel:        cancel,
	rpc.MethodWrite:         write,
	rpc.MethodWait:          wait,
	rpc.MethodRead:          read,
	rpc.MethodAttach:        attach,
	rpc.MethodAck:           ack,
	rpc.MethodDetach:        detach,
	rpc.MethodStatus:        status,
	rpc.MethodList:          list,
	rpc.MethodDiscover:      discover,
	rpc.MethodCancelRequest: cancelRequest,
	rpc.MethodOn:            accept,
	rpc.MethodOff:           accept,
	rpc.MethodPong:          accept,
}

func accept(*request) answer { return result(nil, nil) }

func cancelRequest(r *request) answer {
	var p rpc.CancelRequestParams
	if err := r.decode(&p); err != nil {
		return result(nil, err)
	}
	r.conn.cancelRequest(p.ID)
	return result(nil, nil)
}

// controls are the control types but for CANCEL; each returns what it is answered with, but for the id.
var controls = map[string]func(Session, *rpc.ControlParams) (rpc.ControlResult, error){
	rpc.ControlPause: func(s Session, _ *rpc.ControlParams) (rpc.ControlResult, error) {
		return rpc.ControlResult{Status: "paused"}, s.Pause()
	},
	rpc.ControlResume: func(s Session, _ *rpc.ControlParams) (rpc.ControlResult, error) {
		return rpc.ControlResult{Status: "resumed"}, s.Resume()
	},
	rpc.ControlSignal: signal,
	rpc.ControlResize: resize,
}

func control(r *request) answer {
	var p rpc.ControlParams
	if err := r.decode(&p); err != nil {
		return result(nil, err)
	}
	do := controls[p.Type]
	if do == nil && p.Type != rpc.ControlCancel {
		return result(nil, rpc.UnknownControl(p.Type))
	}
	s, err := r.conn.find(p.SessionID)
	if err != nil {
		return result(nil, err)
	}
	if do == nil {
		by, bad := signalParam("signal", p.Signal)
		if bad != nil {
			return result(nil, bad)
		}
		return r.conn.dialect.cancel(r, s, p.Grace, by)
	}
	return r.afterStart(s, func() (any, error) {
		said, err := do(s, &p)
		said.SessionID = s.ID()
		return said, err
	})
}

func signal(s Session, p *rpc.ControlParams) (said rpc.ControlResult, err error) {
	if p.Signal == "" {
		return said, rpc.InvalidParams("signal", "signal is required")
	}
	sig, bad := signalParam("signal", p.Signal)
	if bad != nil {
		return said, bad
	}
	said.Status = "signaled"
	if p.To == rpc.ToLeader {
		return said, s.SignalLeader(sig)
	}
	said.NotSignaled, err = s.Signal(sig)
	return said, err
}

// signalParam is the signal that a param names, 0 where it is left out.
func signalParam(field, name string) (syscall.Signal, *rpc.Error) {
	sig := process.SignalByName(name)
	switch {
	case name == "":
		return 0, nil
	case sig == 0:
		return 0, rpc.InvalidParams(field, "%s must be the name of a signal, like SIGINT", field)
	case sig == syscall.SIGSTOP || sig == syscall.SIGCONT:
		return 0, rpc.InvalidParams(field, "%s is not sent as a signal: use PAUSE and RESUME", process.SignalName(sig))
	}
	return sig, nil
}

func resize(s Session, p *rpc.ControlParams) (said rpc.ControlResult, err error) {
	switch {
	case s.Spec().Program.Terminal == nil:
		return said, rpc.InvalidParams("type", "RESIZE is for pty sessions only")
	case p.Rows == 0:
		return said, rpc.InvalidParams("rows", "rows is required")
	case p.Cols == 0:
		return said, rpc.InvalidParams("cols", "cols is required")
	}
	said.Status = "resized"
	return said, s.Resize(p.Rows, p.Cols)
}

func cancel(r *request) answer {
	var p rpc.CancelParams
	if err := r.decode(&p); err != nil {
		return result(nil, err)
	}
	s, err := r.conn.find(p.SessionID)
	if err != nil {
		return result(nil, err)
	}
	by, bad := signalParam("signal", p.Signal)
	if bad != nil {
		return result(nil, bad)
	}
	return end(s, p.Grace, by, func(c rpc.CancelResult) any { return c })
}

// end cancels a session, by a signal or by its own, and answers when its whole tree is gone or given up on.
func end(s Session, grace rpc.Seconds, by syscall.Signal, answer func(rpc.CancelResult) any) answer {
	endWith(s, grace, by)
	return later(func(ctx context.Context) (any, error) {
		if err := await(ctx, s.Done()); err != nil {
			return nil, err
		}
		v := s.View()
		if v.Record == nil {
			return notStarted(s, &v, answer)
		}
		c := completion(s.ID(), v.Record)
		return answer(rpc.CancelResult{Status: c.Status, SessionID: c.SessionID, Escalated: c.Escalated, Survivors: c.Survivors,
			SurvivorsVerified: c.SurvivorsVerified}), nil
	})
}

// endWith cancels a session; grace and the signal are its own where they are not set.
func endWith(s Session, grace rpc.Seconds, by syscall.Signal) {
	if grace.Set {
		s.Cancel(&grace.D, by)
	} else {
		s.Cancel(nil, by)
	}
}

// await waits for done, or returns why the request need not wait any more.
func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-done: // both may have come while this process was suspended
		return nil
	default:
		return context.Cause(ctx)
	}
}

func write(r *request) answer {
	var p rpc.WriteParams
	if err := r.decode(&p); err != nil {
		return result(nil, err)
	}
	data, bad := input(&p)
	if bad != nil {
		return result(nil, bad)
	}
	s, err := r.conn.find(p.SessionID)
	if err != nil {
		return result(nil, err)
	}
	w := s.Write(data, p.Offset, p.EOF)
	if isOver(w.Done) { // the reply need not race with what the process answers
		return result(rpc.WriteResult{StdinBytes: w.Total}, w.Err)
	}
	return later(func(ctx context.Context) (any, error) {
		if err := await(ctx, w.Done); err != nil && s.Withdraw(w) {
			return nil, err
		}
		<-w.Done
		return rpc.WriteResult{StdinBytes: w.Total}, w.Err
	})
}

// input is the data of a write, which may be left out where there is an eof.
func input(p *rpc.WriteParams) ([]byte, *rpc.Error) {
	switch {
	case p.Data == nil && !p.EOF:
		return nil, rpc.InvalidParams("data", "data is required")
	case p.Data == nil:
		return nil, nil
	case p.Encoding != rpc.EncodingBase64:
		return []byte(*p.Data), nil
	}
	data, err := base64.StdEncoding.DecodeString(*p.Data)
	if err != nil {
		return nil, rpc.InvalidParams("data", "data is not base64")
	}
	return data, nil
}

func status(r *request) answer {
	var p rpc.SessionParams
	if err := r.decode(&p); err != nil {
		return result(nil, err)
	}
	s, err := r.conn.find(p.SessionID)
	if err != nil {
		return result(nil, err)
	}
	v := s.View()
	if v.Failure != nil && v.State == session.Ended {
		return result(nil, rpc.SessionNotFound(s.ID()))
	}
	st := sessionStatus(s, &v)
	return result(made(func() []byte { return withInput(statusText(st), s) }), nil)
}
