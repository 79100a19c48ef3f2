package codex

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

const (
	// maxReplyMemory is what the large replies of all connections take in bytes: while they are made, and
	// then until they are written.
	maxReplyMemory = 384 << 20
	// maxReplyMemoryOfPrincipal is the share of one principal. The reply with the largest file fits in.
	maxReplyMemoryOfPrincipal = 160 << 20

	// blockCost is the memory for a process/read or fs/readBlock: at most 1 MiB of data and its base64.
	blockCost = 4 << 20
	// listCost is the memory for a list of files: its names, and their JSON twice.
	listCost = 64 << 20
	// minFileCost is the least memory for a fs/readFile, since files of /proc have no size.
	minFileCost = 64 << 10
)

// fileCost returns the memory for a file of so many bytes: its data, and its base64 in the frame.
func fileCost(size int64) int64 { return size + (size+2)/3*4 + minFileCost }

// replyMemory is a budget of replies. Its methods may be called concurrently.
type replyMemory struct {
	all         *semaphore.Weighted
	ofPrincipal int64

	mu     sync.Mutex
	shares map[string]*memoryShare // of the principals that have or wait for some
}

type memoryShare struct {
	free  *semaphore.Weighted
	users int
}

// newReplyMemory returns a budget of bytes, and a share of it for each principal.
func newReplyMemory(all, ofPrincipal int64) *replyMemory {
	return &replyMemory{all: semaphore.NewWeighted(all), ofPrincipal: ofPrincipal, shares: make(map[string]*memoryShare)}
}

// heldMemory is a part of the budget. One goroutine uses it.
type heldMemory struct {
	of        *replyMemory
	principal string
	share     *memoryShare
	bytes     int64
}

// take waits for n bytes, which must not be more than the share of a principal, or for the end of ctx.
func (m *replyMemory) take(ctx context.Context, principal string, n int64) (*heldMemory, error) {
	h := &heldMemory{of: m, principal: principal, share: m.use(principal), bytes: n}
	if err := h.share.free.Acquire(ctx, n); err != nil {
		m.drop(principal, h.share)
		return nil, context.Cause(ctx)
	}
	if err := m.all.Acquire(ctx, n); err != nil {
		h.share.free.Release(n)
		m.drop(principal, h.share)
		return nil, context.Cause(ctx)
	}
	return h, nil
}

// resize changes how many bytes are held. It does not wait for more, because whoever has some must not
// wait for others; it reports whether there were enough.
func (h *heldMemory) resize(n int64) bool {
	more := n - h.bytes
	switch {
	case more > 0:
		if !h.share.free.TryAcquire(more) {
			return false
		}
		if !h.of.all.TryAcquire(more) {
			h.share.free.Release(more)
			return false
		}
	case more < 0:
		h.of.all.Release(-more)
		h.share.free.Release(-more)
	}
	h.bytes = n
	return true
}

func (h *heldMemory) release() {
	h.resize(0)
	h.of.drop(h.principal, h.share)
}

func (m *replyMemory) use(principal string) *memoryShare {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.shares[principal]
	if s == nil {
		s = &memoryShare{free: semaphore.NewWeighted(m.ofPrincipal)}
		m.shares[principal] = s
	}
	s.users++
	return s
}

func (m *replyMemory) drop(principal string, s *memoryShare) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.users--; s.users == 0 {
		delete(m.shares, principal)
	}
}
