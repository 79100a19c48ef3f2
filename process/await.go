package process

import (
	"context"
	"time"
)

const (
	// firstAwait and lastAwait bound the time between two looks at a tree whose end is waited for, where nothing tells
	// of it, or what was watched ends all the time.
	firstAwait = 5 * time.Millisecond
	lastAwait  = 250 * time.Millisecond
)

// AwaitTree blocks until no process of the tree lives, or ctx is done. Call it after WaitExit and before Sweep. It watches
// one process of the tree, or what the kernel counts, and looks at the tree when that tells of an end. This takes a
// descriptor, but no thread and no time. Where there is no descriptor, and for a tree whose processes end all the time,
// it looks at the tree less and less often, down to four times a second.
func (p *Process) AwaitTree(ctx context.Context) {
	for pause := firstAwait; ; {
		begin := time.Now()
		if some, err := p.tree.Alive(); !some && err == nil {
			return
		}
		if w := p.tree.Watch(); w != nil {
			w.Wait(ctx)
		}
		rest := time.Until(begin.Add(pause))
		if rest <= 0 {
			pause = firstAwait
		} else {
			pause = min(2*pause, lastAwait)
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
