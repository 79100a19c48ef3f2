package server

import (
	"context"
	"syscall"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/session"
)

func cancel(r *request, p *rpc.CancelParams) answer {
	s, by, err := r.conn.findToCancel(p.SessionID, p.Signal)
	r.conn.auditControl(s, p.SessionID, audit.Control{Action: rpc.ControlCancel, Signal: p.Signal}, err)
	if err != nil {
		return result(nil, err)
	}
	return cancelAndReply(r, s, p.Grace, by, func(c rpc.CancelResult) any { return c })
}

// findToCancel returns the session of a cancel, and its first signal.
func (c *conn) findToCancel(name, signal string) (s *session.Session, by syscall.Signal, err error) {
	if s, err = c.find(name, mayEnd); err != nil {
		return nil, 0, err
	}
	by, bad := signalParam("signal", signal)
	if bad != nil {
		return s, 0, bad
	}
	return s, by, nil
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
			r.orderAfterFailed(s, &v)
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
	status := rpc.StatusCanceled
	switch {
	case v.Failure == session.ErrCanceled, v.State == session.Starting:
	case v.FailureKept:
		status = rpc.StatusFailed
	default:
		return nil, rpc.SessionNotFound(r.conn.name(s))
	}
	return convert(rpc.CancelResult{
		Status:            status,
		SessionID:         r.conn.name(s),
		Survivors:         []int{},
		SurvivorsVerified: true,
	}), nil
}
