package process

import (
	"context"
	"os"
	"time"
)

const (
	// firstAwait and lastAwait bound the time between two looks at a tree whose end is waited for, where nothing tells
	// of it, or what was watched ends all the time.
	firstAwait = 5 * time.Millisecond
	lastAwait  = 250 * time.Millisecond
)

// watched is something that tells of a change: until then somebody lives in a tree.
type watched struct {
	file *os.File // in the runtime's poller
	over func(fd uintptr) bool
}

// wait blocks until it is over, or ctx is done. It holds a goroutine, and no thread.
func (w *watched) wait(ctx context.Context) {
	defer w.file.Close()
	defer context.AfterFunc(ctx, func() { _ = w.file.SetReadDeadline(time.Unix(1, 0)) })()
	if conn, err := w.file.SyscallConn(); err == nil {
		_ = conn.Read(w.over)
	}
}

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
			w.wait(ctx)
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
