package process

import (
	"context"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/memberwise"
)

// KillWait is how long a process may take to end after SIGKILL. Then it is a survivor.
const KillWait = memberwise.KillWait

// SweepResult is what Sweep has found and done.
type SweepResult struct {
	Found      bool  // a process was alive, or may have been
	Escalated  bool  // SIGKILL was sent
	Survivors  []int // process ids of those that were alive even after that
	Unverified bool  // there may be others, since the tree could not be checked
}

// sweep ends the processes of tree. It sends stop first, unless stopSent is true. A tree that
// cannot be checked is treated as one with living processes, and checked again.
func sweep(ctx context.Context, tree containment.Tree, grace time.Duration, stop syscall.Signal, stopSent bool) (r SweepResult) {
	alive, err := tree.Alive()
	if !alive && err == nil {
		return r
	}
	r.Found = true
	if grace > 0 && ctx.Err() == nil {
		if !stopSent {
			_ = tree.Signal(stop)
		}
		tree.Continue() // it may have been paused since
		alive, err = awaitEnd(ctx, tree, grace, 0)
	}
	if alive || err != nil {
		r.Escalated = true
		alive, err = awaitEnd(context.Background(), tree, KillWait, syscall.SIGKILL)
	}
	if alive || err != nil {
		r.Survivors, err = tree.Members()
		r.Unverified = err != nil
	}
	return r
}

// awaitEnd checks tree until it has no living processes, ctx is done or d is over, and returns the
// result of the last check. It sends sig, unless that is 0, before every check, since a process may
// have been forked since the one before.
func awaitEnd(ctx context.Context, tree containment.Tree, d time.Duration, sig syscall.Signal) (alive bool, err error) {
	end := time.Now().Add(d)
	for interval := memberwise.MinInterval; ; interval = min(2*interval, memberwise.MaxInterval) {
		if sig != 0 {
			_ = tree.Signal(sig)
		}
		select {
		case <-time.After(min(interval, time.Until(end))):
		case <-ctx.Done():
		}
		alive, err = tree.Alive()
		ended := err == nil && !alive
		if ended || ctx.Err() != nil || !time.Now().Before(end) {
			return alive, err
		}
	}
}
