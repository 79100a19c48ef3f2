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
	Found     bool  // somebody was alive
	Escalated bool  // SIGKILL was sent
	Survivors []int // who was alive even after that, by process id
}

// ErrElusive says that somebody lives whom no look finds.
var ErrElusive = errors.New("process: somebody forks and ends faster than can be looked at")

// sweep ends who lives in tree; asked says that it got its SIGTERM already. Where members can't be listed at all it kills them unseen and without a
// wait: to call it empty would leave them, and to wait would be for nobody knows whom.
func sweep(ctx context.Context, tree containment, grace time.Duration, asked bool) (r SweepResult) {
	left, err := tree.living()
	if err != nil && err != ErrElusive {
		r.Escalated = tree.signal(syscall.SIGKILL) == nil
		return r
	}
	r.Found = len(left) > 0 || err != nil
	if r.Found && grace > 0 && ctx.Err() == nil {
		if !asked {
			_ = tree.signal(syscall.SIGTERM)
		}
		tree.wake() // it may have been paused since
		left, err = watch(ctx, tree, grace, 0)
	}
	if err != nil || len(left) > 0 {
		r.Escalated = true
		r.Survivors, _ = watch(context.Background(), tree, killWait, syscall.SIGKILL)
	}
	return r
}

// watch looks at tree until nobody lives, ctx is done or d is over, and returns what the last look saw. It
// sends sig (0: nothing) before every look, for a process may have joined since the one before.
func watch(ctx context.Context, tree containment, d time.Duration, sig syscall.Signal) ([]int, error) {
	end := time.Now().Add(d)
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		_ = tree.signal(sig)
		select {
		case <-time.After(min(pause, time.Until(end))):
		case <-ctx.Done():
		}
		left, err := tree.living()
		gone := err == nil && len(left) == 0
		if gone || ctx.Err() != nil || !time.Now().Before(end) {
			return left, err
		}
	}
}
