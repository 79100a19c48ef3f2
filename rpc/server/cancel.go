package server

import (
	"context"
	"syscall"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

func cancel(r *request, p *rpc.CancelParams) answer {
	s, err := r.conn.find(p.SessionID, mayEnd)
	if err != nil {
		return result(nil, err)
	}
	by, bad := signalParam("signal", p.Signal)
	if bad != nil {
		return result(nil, bad)
	}
	return cancelAndReply(r, s, p.Grace, by, func(c rpc.CancelResult) any { return c })
}

// cancelAndReply cancels a session and replies when it has ended. by is the first signal; 0 is the
// session's stop signal. convert makes the result of the method.
func cancelAndReply(
	r *request, s *session.Session, grace rpc.Seconds, by syscall.Signal, convert func(rpc.CancelResult) any,
) answer {
	cancelSession(s, grace, by)
	return later(func(ctx context.Context) (any, error) {
		if err := await(ctx, s.Done()); err != nil {
			return nil, err
		}
		v := s.View()
		if v.Record == nil {
			return notStarted(r, s, &v, convert)
		}
		c := completion(r.conn.named(s), v.Record)
		return convert(rpc.CancelResult{
			Status:            c.Status,
			SessionID:         c.SessionID,
			Escalated:         c.Escalated,
			Survivors:         c.Survivors,
			SurvivorsVerified: c.SurvivorsVerified,
		}), nil
	})
}

// cancelSession cancels a session. If grace or by is not set, it is the session's own.
func cancelSession(s *session.Session, grace rpc.Seconds, by syscall.Signal) {
	if grace.Set {
		s.Cancel(&grace.D, by)
	} else {
		s.Cancel(nil, by)
	}
}

// notStarted returns the result of canceling a session that has not run: it is canceled unless its
// start has failed.
func notStarted(r *request, s *session.Session, v *session.View, convert func(rpc.CancelResult) any) (any, error) {
	if v.Failure != session.ErrCanceled && v.State != session.Starting {
		return nil, rpc.SessionNotFound(r.conn.name(s))
	}
	return convert(rpc.CancelResult{
		Status:            rpc.StatusCanceled,
		SessionID:         r.conn.name(s),
		Survivors:         []int{},
		SurvivorsVerified: true,
	}), nil
}
