package server

import (
	"context"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/session"
)

// execute starts a session and attaches the connection to it. Unless a file system blocks this or
// an earlier start of the connection, the start has ended before the next request begins.
func execute(r *request, p *rpc.ExecuteParams) answer {
	s, created, err := r.conn.reserve(p, r.conn.mayAttach)
	if err != nil {
		_ = r.conn.auditExecute(p, nil, err)
		return r.refuse(err)
	}
	stream := !p.Wait
	if p.Stream != nil {
		stream = *p.Stream
	}
	if created {
		r.conn.turn.leave() // what follows may wait; starts have turns of their own
		defer s.Discard()   // without effect after Begin
		if err := r.conn.auditExecute(p, s, nil); err != nil {
			s.Refuse(err)
			return result(nil, err)
		}
	} else {
		r.conn.auditAttach(s, "", rpc.MethodExecute, nil)
	}
	view := s.View()
	if err := mayReadSpool(p.SlowClient, &view); err != nil {
		return result(nil, err)
	}
	o := attachedAs(p.SlowClient, p.Window)
	o.stream = stream
	r.conn.server.reached(checkpointAttach)
	sub, attached := r.conn.subscribe(s, o)
	if created {
		r.conn.begin(s)
		r.awaitStart(s)
		s.Spec().Params() // made now, since that takes as long as a hundredth of a short command
		if isDone(s.Ready()) {
			if v := s.View(); v.Failure != nil && !v.FailureKept {
				return result(nil, v.Failure)
			}
		}
	}
	if p.Wait {
		sub.activate()
		return waitExecuted(r, s, p.WaitTimeout, captureBytes(p.CaptureBytes, defaultCapture))
	}
	return replyStarted(r, s, sub, created, attached)
}

// replyStarted replies to an execute without wait. The reply to a request that is not in a batch is
// ahead of the first event. The reply does not wait for a session that waits for a slot; if the session
// has failed already, the reply says so instead of the events.
func replyStarted(r *request, s *session.Session, sub *subscription, created, attached bool) answer {
	if s.Waits() {
		ready := isDone(s.Ready())
		if err := s.View().Failure; ready && err != nil {
			if attached {
				r.conn.detach(sub)
			}
			return result(nil, err)
		}
		if !ready {
			r.afterReply(attached, sub.activate)
			return result(rpc.QueuedResult{Status: rpc.StatusQueued, SessionID: s.ID(), Created: created}, nil)
		}
	}
	done := func() (any, error) {
		v := s.View()
		if v.Failure != nil {
			return nil, v.Failure
		}
		return rpc.ExecuteResult{
			Status:      "started",
			SessionID:   s.ID(),
			PID:         v.PID,
			PGID:        v.PGID,
			Containment: string(v.Containment),
			Sandbox:     sandboxReport(v.Sandbox, v.Denied),
			Created:     created,
		}, nil
	}
	r.afterReply(attached, sub.activate)
	if isDone(s.Ready()) {
		return result(done())
	}
	return later(func(ctx context.Context) (any, error) {
		if err := await(ctx, s.Ready()); err != nil {
			if err == errCanceled && created {
				r.cancelExecuted(s)
			}
			return nil, err
		}
		return done()
	})
}

// waitExecuted replies to an execute with wait, after timeout with the output so far. Canceling the
// request ends the session.
func waitExecuted(r *request, s *session.Session, timeout rpc.Seconds, capture int64) answer {
	r.cleanup = s.Hold() // keeps the session alive if the connection detaches
	return later(func(ctx context.Context) (any, error) {
		ctx, cancel := within(ctx, timeout)
		defer cancel()
		switch err := await(ctx, s.Done()); err {
		case nil:
		case errDeadline:
			return lazyResult(func() []byte { return stillRunning(r.conn.ctx, s, capture) }), nil
		case errCanceled:
			r.cancelExecuted(s)
			if err = await(r.conn.ctx, s.Done()); err != nil {
				return nil, err
			}
		default:
			return nil, err
		}
		return r.completed(s, &capture)
	})
}

// cancelExecuted ends the session of an execute that was canceled.
func (r *request) cancelExecuted(s *session.Session) {
	r.conn.auditControl(s, "", audit.Control{Action: rpc.ControlCancel}, nil)
	s.End(session.Canceled, nil)
}

// stillRunning returns the output so far as JSON.
func stillRunning(ctx context.Context, s *session.Session, capture int64) []byte {
	status := rpc.StatusRunning
	if s.View().State == session.Queued {
		status = rpc.StatusQueued
	}
	return captured(ctx, s, capture, func(out rpc.CapturedOutput, seq int64) any {
		return rpc.StillRunning{
			Status: status, SessionID: s.ID(), Principal: s.Spec().Owner, LastSeq: seq, CapturedOutput: out,
		}
	})
}

func captureBytes(p *int64, def int64) int64 {
	if p == nil {
		return def
	}
	return *p
}
