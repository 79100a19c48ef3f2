package server

import (
	"context"
	"errors"
	"time"

	"golang.org/x/time/rate"

	"github.com/runnel-rpc/runnel/rpc"
)

const (
	// promptRefusals is how many executes of a connection are refused at once in a second because a
	// limit is reached. The answers to more of them are delayed.
	promptRefusals = 10
	// refusalDelay is how long the answer to such an execute is delayed, and that to an HTTP request of
	// a peer whose requests are refused too often. A client that repeats them without waiting would
	// use the processors that others need.
	refusalDelay = 50 * time.Millisecond
)

// refuse answers an execute that is refused with err. Only the goroutine that reads requests calls it.
func (r *request) refuse(err error) answer {
	if !r.conn.refusedTooOften(err) {
		return result(nil, err)
	}
	return later(func(ctx context.Context) (any, error) {
		delay(ctx, refusalDelay)
		return nil, err
	})
}

// refusedTooOften reports whether the answer to an execute that is refused with err is to be delayed.
func (c *party) refusedTooOften(err error) bool {
	if e := (*rpc.Error)(nil); !errors.As(err, &e) || e.Code != rpc.CodeSessionLimit {
		return false
	}
	if c.refusals == nil {
		c.refusals = rate.NewLimiter(promptRefusals, promptRefusals)
	}
	return !c.refusals.Allow()
}

// delay waits for d, or until ctx is done.
func delay(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
