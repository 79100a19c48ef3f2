package process

import (
	"context"
	"errors"
	"syscall"
	"time"
)

const (
	killWait  = 2 * time.Second       // for SIGKILL to work; longer only waits for a device or a dead disk
	firstLook = time.Millisecond      // most members are gone by then
	lastLook  = 10 * time.Millisecond // looks double up to this; each may read the process table
)

// SweepResult is what Sweep found and did.
type SweepResult struct {
	Found      bool  // somebody was alive, or may have been
	Escalated  bool  // SIGKILL was sent
	Survivors  []int // who was alive even after that, by process id
	Unverified bool  // there may be others: the tree could not be inspected, up to the end
}

// ErrElusive says that somebody lives whom no look finds.
var ErrElusive = errors.New("process: somebody forks and ends faster than can be looked at")

// sweep ends who lives in tree, by stop first; asked says that it got that already. A tree that can't be inspected is
// treated as one in which somebody lives, and inspected again.
func sweep(ctx context.Context, tree containment, grace time.Duration, stop syscall.Signal, asked bool) (r SweepResult) {
	some, err := tree.Alive()
	if !some && err == nil {
		return r
	}
	r.Found = true
	if grace > 0 && ctx.Err() == nil {
		if !asked {
			_ = tree.Signal(stop)
		}
		tree.Continue() // it may have been paused since
		some, err = watch(ctx, tree, grace, 0)
	}
	if some || err != nil {
		r.Escalated = true
		some, err = watch(context.Background(), tree, killWait, syscall.SIGKILL)
	}
	if some || err != nil {
		r.Survivors, err = tree.Members()
		r.Unverified = err != nil
	}
	return r
}

// watch looks at tree until nobody lives, ctx is done or d is over, and returns what the last look saw. It
// sends sig (0: nothing) before every look, for a process may have joined since the one before.
func watch(ctx context.Context, tree containment, d time.Duration, sig syscall.Signal) (some bool, err error) {
	end := time.Now().Add(d)
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		if sig != 0 {
			_ = tree.Signal(sig)
		}
		select {
		case <-time.After(min(pause, time.Until(end))):
		case <-ctx.Done():
		}
		some, err = tree.Alive()
		gone := err == nil && !some
		if gone || ctx.Err() != nil || !time.Now().Before(end) {
			return some, err
		}
	}
}
