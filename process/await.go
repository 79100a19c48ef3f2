package process

import (
	"context"
	"time"
)

const (
	// minAwaitInterval and maxAwaitInterval are the shortest and the longest time between two
	// checks of a tree that cannot be watched, or whose watched processes exit one after the other.
	minAwaitInterval = 5 * time.Millisecond
	maxAwaitInterval = 250 * time.Millisecond
)

// AwaitTree blocks until all processes of the tree have ended, or ctx is done. It is called after
// WaitExit and before Sweep. It watches one process of the tree, or the kernel's count, and checks
// the tree when that changes. This takes a descriptor, but no thread and no processor time. If
// there is no free descriptor, or processes exit one after the other, it polls the tree with
// growing intervals up to 250 ms.
func (p *Process) AwaitTree(ctx context.Context) {
	for interval := minAwaitInterval; ; {
		begin := time.Now()
		if alive, err := p.tree.Alive(); !alive && err == nil {
			return
		}
		if w := p.tree.Watch(); w != nil {
			w.Wait(ctx)
		}
		rest := time.Until(begin.Add(interval))
		if rest <= 0 {
			interval = minAwaitInterval
		} else {
			interval = min(2*interval, maxAwaitInterval)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(rest):
		}
		if ctx.Err() != nil {
			return
		}
	}
}
