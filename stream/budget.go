package stream

import (
	"container/list"
	"sync"
	"sync/atomic"
)

// minShare is how many charged bytes a log may hold even if the budget is exceeded, so that every
// session makes progress.
const minShare = 128 << 10

// Budget bounds the charged bytes of many logs together. A nil Budget bounds nothing. All methods
// may be called concurrently.
type Budget struct {
	limit   int64
	used    atomic.Int64
	reclaim func()

	mu      sync.Mutex // may be locked while a log's lock is held; no other lock is taken under it
	waiting list.List  // of *budgetWaiter, first in, first out
}

// budgetWaiter is an append that waits until the budget is no longer exceeded.
type budgetWaiter struct {
	budget  *Budget
	element *list.Element // nil after the grant
	granted chan struct{} // closed by grant: waitOnce continues
}

// NewBudget returns a budget of limit bytes. An append that finds the budget exceeded calls
// reclaim, without any lock of this package; reclaim may evict what is not needed.
func NewBudget(limit int64, reclaim func()) *Budget {
	return &Budget{limit: limit, reclaim: reclaim}
}

// Exceeded reports whether the logs hold more than the limit.
func (b *Budget) Exceeded() bool { return b != nil && b.used.Load() > b.limit }

// HasWaiters reports whether an append waits because the budget is exceeded.
func (b *Budget) HasWaiters() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting.Len() > 0
}

// Used returns how many charged bytes the logs hold.
func (b *Budget) Used() int64 { return b.used.Load() }

// add charges n bytes, or releases them if n is negative.
func (b *Budget) add(n int64) {
	if b == nil {
		return
	}
	if now := b.used.Add(n); now <= b.limit && now-n > b.limit {
		b.grantNext()
	}
}

// enqueue adds a waiter. It is granted at once if the budget is not exceeded.
func (b *Budget) enqueue() *budgetWaiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := &budgetWaiter{budget: b, granted: make(chan struct{})}
	w.element = b.waiting.PushBack(w)
	if !b.Exceeded() { // memory may have been released before the waiter was in the list
		w.grant()
	}
	return w
}

// grantNext wakes the first waiter if the budget is not exceeded. That waiter calls grantNext after
// its append, so each is woken only when there is room for it.
func (b *Budget) grantNext() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if first := b.waiting.Front(); first != nil && !b.Exceeded() {
		first.Value.(*budgetWaiter).grant()
	}
}

// grant is called with the budget's lock held.
func (w *budgetWaiter) grant() {
	w.budget.waiting.Remove(w.element)
	w.element = nil
	close(w.granted)
}

// cancel removes the waiter from the list, and reports whether it had been granted.
func (w *budgetWaiter) cancel() (granted bool) {
	w.budget.mu.Lock()
	defer w.budget.mu.Unlock()
	if w.element == nil {
		return true
	}
	w.budget.waiting.Remove(w.element)
	return false
}
