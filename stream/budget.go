package stream

import (
	"container/list"
	"sync"
	"sync/atomic"
)

// minShare is what a log may hold, in charged bytes, however much the others do: so each session gets on.
const minShare = 128 << 10

// Budget bounds what many logs hold together, in charged bytes. A nil Budget bounds nothing. All methods may
// be called concurrently.
type Budget struct {
	limit   int64
	used    atomic.Int64
	reclaim func()

	mu      sync.Mutex // taken last, also under a log's lock
	waiting list.List  // of *turn, in the order in which they came
}

// turn is an append's place in the line of those that wait for the budget to become free.
type turn struct {
	budget *Budget
	place  *list.Element // nil once it has come
	free   chan struct{} // closed then
}

// NewBudget returns a budget of limit bytes. Reclaim is called, without any lock of this package, when an
// append finds it exceeded: it may shed what is dispensable.
func NewBudget(limit int64, reclaim func()) *Budget {
	return &Budget{limit: limit, reclaim: reclaim}
}

// Exceeded reports whether the logs hold more than the limit.
func (b *Budget) Exceeded() bool { return b != nil && b.used.Load() > b.limit }

// Waited reports whether an append waits for the budget to become free. Whoever can give something up should then.
func (b *Budget) Waited() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting.Len() > 0
}

// Used is what the logs hold.
func (b *Budget) Used() int64 { return b.used.Load() }

func (b *Budget) add(n int64) {
	if b == nil {
		return
	}
	if now := b.used.Add(n); now <= b.limit && now-n > b.limit {
		b.next()
	}
}

// await takes a place in the line. The turn has come already where the budget is free.
func (b *Budget) await() *turn {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := &turn{budget: b, free: make(chan struct{})}
	t.place = b.waiting.PushBack(t)
	if !b.Exceeded() { // whoever freed it did not find this one in the line
		t.come()
	}
	return t
}

// next lets the first in the line go on if the budget is free. That one calls next when it has appended, so that each
// is woken only if there is room for it.
func (b *Budget) next() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if first := b.waiting.Front(); first != nil && !b.Exceeded() {
		first.Value.(*turn).come()
	}
}

// come is with the budget's lock.
func (t *turn) come() {
	t.budget.waiting.Remove(t.place)
	t.place = nil
	close(t.free)
}

// leave gives up the place, and reports whether the turn had come.
func (t *turn) leave() bool {
	t.budget.mu.Lock()
	defer t.budget.mu.Unlock()
	if t.place == nil {
		return true
	}
	t.budget.waiting.Remove(t.place)
	return false
}
