package server

import (
	"context"
	"sync"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

// startInline is how long an execute delays the following requests of its connection while a file
// system may block the start. Most starts have ended by then, and their replies are ahead of the
// following ones. During a start that takes longer, other starts of the connection cause no delay,
// so that many of them do not add up.
const startInline = 10 * time.Millisecond

// awaitStart waits for the start of a session, but at most for startInline if a file system may
// block it, and not if the session has no slot at first. It is called by the goroutine that reads only.
func (r *request) awaitStart(s *session.Session) {
	if s.Waits() {
		return
	}
	if slow := r.conn.slowStart; slow != nil && !isDone(slow) {
		return
	}
	r.conn.slowStart = nil
	if isDone(s.Ready()) {
		return
	}
	timer := time.NewTimer(r.conn.server.startInline)
	defer timer.Stop()
	select {
	case <-s.Ready():
		return
	case <-r.conn.ctx.Done():
		return
	case <-timer.C:
	}
	if s.StartMayWait() {
		r.conn.slowStart = s.Ready()
		return
	}
	_ = await(r.conn.ctx, s.Ready())
}

// notRunning returns the error of a request that has waited for the start of a session which failed.
func (r *request) notRunning(s *session.Session, v *session.View) error {
	if v.FailureKept {
		return rpc.NotRunning(session.Ended.String())
	}
	return rpc.SessionNotFound(r.conn.name(s))
}

// afterStart calls f now or, if the session is queued or starting, after the start. Calls are in the
// order of the requests. If the start fails, or the request is canceled or its connection ends before,
// refused is why the request is not carried out, else nil. f is called once in any case.
//
// The session refers to f, and so to the params, only while the request is in flight, since
// max_in_flight bounds only such requests.
func (r *request) afterStart(s *session.Session, f func(refused error) (any, error)) answer {
	var once sync.Once // after the start, or when the request is canceled
	done := make(chan answer, 1)
	call := func(refused error) {
		once.Do(func() { done <- r.guard(func() answer { return result(f(refused)) }) })
	}
	remove, will := s.AfterStart(func() {
		if v := s.View(); v.Failure != nil {
			call(r.notRunning(s, &v))
		} else {
			call(nil)
		}
	})
	if !will {
		if v := s.View(); v.Failure != nil {
			return result(f(rpc.NotRunning(v.State.String())))
		}
		return result(f(nil))
	}
	return later(func(ctx context.Context) (any, error) {
		select {
		case a := <-done:
			return a.result, a.err
		case <-ctx.Done():
			remove()
			call(context.Cause(ctx))
			a := <-done
			return a.result, a.err
		}
	})
}
