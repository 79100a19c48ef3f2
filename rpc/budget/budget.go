// Package budget shares a number of units, such as bytes or slots, among principals.
package budget

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Budget is a number of units, of which each principal can have a part. Its methods may be called
// concurrently. It keeps nothing about principals that neither hold nor wait for units.
type Budget struct {
	all         *semaphore.Weighted
	ofPrincipal int64

	mu     sync.Mutex
	shares map[string]*share // of the principals that hold or wait for units
}

// share is what one principal may take.
type share struct {
	free  *semaphore.Weighted
	users int
}

// New returns a budget of all units, of which one principal may hold at most ofPrincipal.
func New(all, ofPrincipal int64) *Budget {
	return &Budget{all: semaphore.NewWeighted(all), ofPrincipal: ofPrincipal, shares: make(map[string]*share)}
}

// Held are units that are held until Release. One goroutine uses them at a time.
type Held struct {
	of        *Budget
	principal string
	share     *share
	units     int64
}

// Take waits for n units, first of the principal and then of all, each in the order of the calls, so that a
// principal that waits for its own units delays no other. n must not be more than a principal may hold: then
// Take waits until ctx is done. The error is the cause of ctx.
func (b *Budget) Take(ctx context.Context, principal string, n int64) (*Held, error) {
	h := &Held{of: b, principal: principal, share: b.use(principal), units: n}
	if err := h.share.free.Acquire(ctx, n); err != nil {
		b.drop(principal, h.share)
		return nil, context.Cause(ctx)
	}
	if err := b.all.Acquire(ctx, n); err != nil {
		h.share.free.Release(n)
		b.drop(principal, h.share)
		return nil, context.Cause(ctx)
	}
	return h, nil
}

// Units returns how many are held.
func (h *Held) Units() int64 { return h.units }

// Resize changes how many units are held. It does not wait for more, because whoever holds some must not wait
// for others; it reports whether there were enough.
func (h *Held) Resize(n int64) bool {
	more := n - h.units
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
	h.units = n
	return true
}

// Release returns the units. It must be called once.
func (h *Held) Release() {
	h.Resize(0)
	h.of.drop(h.principal, h.share)
}

func (b *Budget) use(principal string) *share {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.shares[principal]
	if s == nil {
		s = &share{free: semaphore.NewWeighted(b.ofPrincipal)}
		b.shares[principal] = s
	}
	s.users++
	return s
}

func (b *Budget) drop(principal string, s *share) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.users--; s.users == 0 {
		delete(b.shares, principal)
	}
}
