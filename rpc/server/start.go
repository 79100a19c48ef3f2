package server

import (
	"context"
	"sync"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

// startInline is how long an execute holds up the requests behind it on its connection while a file system may hold up the
// start. Mostly the start is over by then, and its reply precedes theirs. Those that follow while such a start goes on
// hold up nobody, so that many of them do not add up.
const startInline = 10 * time.Millisecond

// awaitStart waits for the start of a session unless that may take long. It is called by the reader of the connection only.
func (r *request) awaitStart(s *session.Session) {
	if slow := r.conn.slowStart; slow != nil && !isOver(slow) {
		return
	}
	r.conn.slowStart = nil
	if isOver(s.Ready()) {
		return
	}
	timer := time.NewTimer(startInline)
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

func isOver(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// afterStart does f now, or for a session that is starting when that is over, in the order of the requests.
func (r *request) afterStart(s *session.Session, f func() (any, error)) answer {
	var once sync.Once // f is done, or the request is canceled
	done := make(chan answer, 1)
	will := s.AfterStart(func() {
		once.Do(func() {
			if s.View().Failure != nil {
				done <- result(nil, rpc.SessionNotFound(s.ID()))
				return
			}
			done <- r.guard(func() answer { return result(f()) })
		})
	})
	if !will {
		if s.View().Failure != nil {
			return result(nil, rpc.NotRunning(session.Starting.String()))
		}
		return result(f())
	}
	return later(func(ctx context.Context) (any, error) {
		select {
		case a := <-done:
			return a.result, a.err
		case <-ctx.Done():
			once.Do(func() { done <- result(nil, context.Cause(ctx)) })
			a := <-done
			return a.result, a.err
		}
	})
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
