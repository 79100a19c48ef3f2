package server

import (
	"context"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

// execute starts a session and attaches the connection to it. Unless a file system holds up the start, it is over before
// the next request of the connection is looked at.
func execute(r *request, p *rpc.ExecuteParams) answer {
	spec, bad := r.conn.server.o.Defaults.spec(r.conn.principal, p)
	if bad != nil {
		return result(nil, bad)
	}
	if bad := r.conn.mayAttach(spec.ID); bad != nil {
		return result(nil, bad)
	}
	s, created, err := r.conn.server.sessions.Reserve(spec)
	if err != nil {
		e, _ := wireError(err, spec.ID)
		return result(nil, e)
	}
	stream := !p.Wait
	if p.Stream != nil {
		stream = *p.Stream
	}
	if created {
		defer s.Discard() // of no effect once it was begun
	}
	o := attachedAs(p.SlowClient, p.Window)
	o.stream = stream
	r.conn.server.step("attach")
	sub, attached := r.conn.subscribe(s, o)
	if created {
		r.conn.server.step("begin")
		s.Begin()
		r.conn.server.step("begun")
		r.awaitStart(s)
		if isOver(s.Ready()) {
			if why := s.View().Failure; why != nil {
				return result(nil, why)
			}
		}
	}
	if p.Wait {
		sub.start()
		return waitExecuted(r, s, p.WaitTimeout, captureBytes(p.CaptureBytes, defaultCapture))
	}
	return started(r, s, sub, created, attached)
}

// started answers an execute that does not wait. Sent alone, its reply comes before the first event.
func started(r *request, s *session.Session, sub *subscription, created, attached bool) answer {
	done := func() (any, error) {
		v := s.View()
		if v.Failure != nil {
			return nil, v.Failure
		}
		return rpc.ExecuteResult{Status: "started", SessionID: s.ID(), PID: v.PID, PGID: v.PGID, Containment: string(v.Containment), Created: created}, nil
	}
	r.then(attached, sub.start)
	if isOver(s.Ready()) {
		return result(done())
	}
	return later(func(ctx context.Context) (any, error) {
		if err := await(ctx, s.Ready()); err != nil {
			if err == errCanceled && created {
				s.End(session.Canceled, nil)
			}
			return nil, err
		}
		return done()
	})
}

// waitExecuted answers an execute with wait, after timeout with the output so far. Canceling the request ends the session.
func waitExecuted(r *request, s *session.Session, timeout rpc.Seconds, capture int64) answer {
	r.cleanup = s.Hold() // it waits, also when the connection has detached
	return later(func(ctx context.Context) (any, error) {
		ctx, cancel := within(ctx, timeout)
		defer cancel()
		switch err := awaitFirst(ctx, s.Done()); err {
		case nil:
		case errDeadline:
			return made(func() []byte { return stillRunning(s, capture) }), nil
		case errCanceled:
			s.End(session.Canceled, nil)
			if err = await(r.conn.ctx, s.Done()); err != nil {
				return nil, err
			}
		default:
			return nil, err
		}
		return r.completed(s, &capture)
	})
}

// stillRunning is the output so far.
func stillRunning(s *session.Session, capture int64) []byte {
	return captured(s, capture, func(out rpc.CapturedOutput, seq int64) any {
		return rpc.StillRunning{Status: rpc.StatusRunning, SessionID: s.ID(), LastSeq: seq, CapturedOutput: out}
	})
}

// wait answers with the completion record of a session.
func wait(r *request, p *rpc.WaitParams) answer {
	if limit := r.conn.server.o.Defaults.replayBytes; p.CaptureBytes != nil && *p.CaptureBytes > limit {
		return result(nil, rpc.InvalidParams("capture_bytes", "capture_bytes must be at most %d", limit))
	}
	s, err := r.conn.find(p.SessionID)
	if err != nil {
		return result(nil, err)
	}
	r.cleanup = s.Hold()
	return later(func(ctx context.Context) (any, error) {
		ctx, cancel := within(ctx, p.Timeout)
		defer cancel()
		if err := awaitFirst(ctx, s.Done()); err != nil {
			return nil, err
		}
		return r.completed(s, p.CaptureBytes)
	})
}

// awaitFirst is await for a session that has ended, or whose start failed, rather than for the deadline: a poll is answered,
// however late it is.
func awaitFirst(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	default:
		return await(ctx, done)
	}
}

// within bounds a wait; the error of one that takes longer is that of a deadline.
func within(ctx context.Context, timeout rpc.Seconds) (context.Context, context.CancelFunc) {
	if !timeout.Set || timeout.Null {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, timeout.D, errDeadline)
}

var errDeadline = rpc.Deadline()

// completed is the record, with output where capture is given. Its reply stays behind the events that this
// connection is still to get, unless a window may keep those back for as long as the client likes.
func (r *request) completed(s *session.Session, capture *int64) (any, error) {
	v := s.View()
	if v.Failure != nil {
		return nil, v.Failure
	}
	rec := v.Record
	if sub := r.conn.subscription(s.ID()); sub != nil && sub.window == 0 {
		r.orderedAfter = sub.waitFor(rec.Seq)
	}
	if capture == nil {
		return r.conn.dialect.completion(s.ID(), rec), nil
	}
	return made(func() []byte {
		return captured(s, *capture, func(out rpc.CapturedOutput, _ int64) any {
			return rpc.Captured{Completion: r.conn.dialect.completion(s.ID(), rec), CapturedOutput: out}
		})
	}), nil
}

func captureBytes(p *int64, def int64) int64 {
	if p == nil {
		return def
	}
	return *p
}
