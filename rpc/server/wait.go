package server

import (
	"context"
	"math"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

// wait replies with the completion record of a session.
func wait(r *request, p *rpc.WaitParams) answer {
	if bad := r.conn.server.o.Defaults.mayCapture("capture_bytes", p.CaptureBytes); bad != nil {
		return result(nil, bad)
	}
	s, err := r.find(p.SessionID)
	if err != nil {
		return result(nil, err)
	}
	r.cleanup = r.conn.hold(s)
	return later(func(ctx context.Context) (any, error) {
		ctx, cancel := within(ctx, p.Timeout)
		defer cancel()
		if err := await(ctx, s.Done()); err != nil {
			return nil, err
		}
		if err := r.conn.mayStillRead(s); err != nil {
			return nil, err
		}
		return r.completed(s, p.CaptureBytes)
	})
}

// completed returns the completion record, with the newest bytes of output if capture is set. Its
// reply is ordered after the events that this connection still gets, unless they have a window,
// which the client may keep closed.
func (r *request) completed(s *session.Session, capture *int64) (any, error) {
	v := s.View()
	if v.Failure != nil {
		r.orderAfterFailed(s, &v)
		return nil, v.Failure
	}
	rec := v.Record
	if sub := r.conn.subscription(s); sub != nil && sub.window == 0 {
		r.orderedAfter = sub.waitFor(rec.Seq)
	}
	of := r.conn.named(s)
	if capture == nil {
		return r.conn.dialect.completion(of, rec), nil
	}
	return lazyResult(func() []byte {
		return captured(r.conn.ctx, s, *capture, func(out rpc.CapturedOutput, _ int64) any {
			return rpc.Captured{Completion: r.conn.dialect.completion(of, rec), CapturedOutput: out}
		})
	}), nil
}

// orderAfterFailed orders the reply after the process.failed that this connection still gets of a
// session, unless it has a window.
func (r *request) orderAfterFailed(s *session.Session, v *session.View) {
	if sub := r.conn.subscription(s); v.FailureKept && sub != nil && sub.window == 0 {
		r.orderedAfter = sub.waitFor(math.MaxInt64) // that is, until the subscription is closed
	}
}
