package server

import (
	"context"

	"github.com/runnel-rpc/runnel/rpc"
)

// await waits for done. The error is the cause of a context that ended before. If both have
// happened, done counts: a poll of a session that has ended gets the record even if its deadline
// has passed, and so does a wait during which this process was suspended.
func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	if isDone(done) {
		return nil
	}
	return context.Cause(ctx)
}

// within returns a context for a wait of at most timeout, with errDeadline as the cause.
func within(ctx context.Context, timeout rpc.Seconds) (context.Context, context.CancelFunc) {
	if !timeout.Set || timeout.Null {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, timeout.D, errDeadline)
}

var errDeadline = rpc.Deadline()

// isDone reports whether done is closed.
func isDone(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
