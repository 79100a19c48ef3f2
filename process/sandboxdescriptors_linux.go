package process

import (
	"context"
	"math"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"
)

// descriptorShare is which part of RLIMIT_NOFILE all starts of sandboxes may have together for the files
// of their rules, and as much again for the directories between them. The starts wait for each other.
const descriptorShare = 8

// descriptorBound bounds the descriptors that starts have together. The zero value bounds nothing.
type descriptorBound struct {
	all  int64
	free *semaphore.Weighted
}

// newDescriptorBound returns a bound that depends on the present RLIMIT_NOFILE.
func newDescriptorBound() descriptorBound {
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) != nil {
		return descriptorBound{}
	}
	all := int64(max(min(files.Cur, math.MaxInt32)/descriptorShare, 1))
	return descriptorBound{all, semaphore.NewWeighted(all)}
}

// acquire waits until n descriptors may be opened. What it returns is called when they are closed. A
// start that needs more than the bound waits until it is the only one. An error is the cause of the end
// of ctx.
func (d *descriptorBound) acquire(ctx context.Context, n int) (release func(), err error) {
	if d.free == nil || n == 0 {
		return func() {}, nil
	}
	taken := min(int64(n), d.all)
	if d.free.Acquire(ctx, taken) != nil {
		return nil, context.Cause(ctx)
	}
	return func() { d.free.Release(taken) }, nil
}
