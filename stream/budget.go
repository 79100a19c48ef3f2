package stream

import (
	"container/list"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// minShare is how many charged bytes a log may hold even if the budget is exceeded, so that every
// session makes progress.
const minShare = 128 << 10

// Budget bounds the charged bytes of the logs of many owners together, each of which has an
// [Account], and divides the processors among those that have output. A nil Budget bounds nothing.
// All methods may be called concurrently.
type Budget struct {
	limit   int64
	used    atomic.Int64
	shares  atomic.Pointer[budgetParts]
	reclaim func(*Account)
	waiters atomic.Int32 // the length of waiting

	mu       sync.Mutex // may be locked while a log's lock is held; no other lock is taken under it
	waiting  list.List  // of *budgetWaiter, first in, first out
	accounts map[string]*Account

	begin      time.Time // of now
	processors int64
	activity   activity
}

// budgetParts are the accounts for which a part of the budget is kept. They do not change.
type budgetParts struct {
	sum      int64
	accounts []*Account
}

// unused returns how much of the parts is not used.
func (p *budgetParts) unused() (sum int64) {
	for _, a := range p.accounts {
		sum += max(a.share.Load()-a.used.Load(), 0)
	}
	return sum
}

// budgetWaiter is an append that waits until the account is no longer exceeded.
type budgetWaiter struct {
	account *Account
	element *list.Element // nil after the grant
	granted chan struct{} // closed by grant: waitOnce continues
}

// NewBudget returns a budget of limit bytes. An append that finds its account exceeded calls
// reclaim, without any lock of this package; reclaim may evict what is not needed.
func NewBudget(limit int64, reclaim func(*Account)) *Budget {
	return &Budget{
		limit:      limit,
		reclaim:    reclaim,
		accounts:   make(map[string]*Account),
		begin:      time.Now(),
		processors: int64(runtime.GOMAXPROCS(0)),
	}
}

// BudgetShares say how a budget is divided among owners.
type BudgetShares struct {
	Guaranteed map[string]int64 // by owner, together no more than the budget
	Limits     map[string]int64 // of owners
	Groups     map[string]int64 // limits of groups, by name
	GroupOf    map[string]string
}

// Divide divides the budget anew. What an owner holds beyond its new bounds is reclaimed when it
// appends.
func (b *Budget) Divide(s BudgetShares) {
	if b == nil {
		return
	}
	defer b.grantNext() // without the lock
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.accounts {
		a.kept = false
		a.share.Store(0)
		a.limit.Store(noLimit)
		a.group.Store(nil)
	}
	parts := &budgetParts{}
	for name, share := range s.Guaranteed {
		a := b.keep(name)
		a.share.Store(share)
		parts.sum += share
		parts.accounts = append(parts.accounts, a)
	}
	for name, limit := range s.Limits {
		b.keep(name).limit.Store(limit)
	}
	groups := make(map[string]*groupAccount, len(s.Groups))
	for owner, name := range s.GroupOf {
		if limit, ok := s.Groups[name]; ok {
			if groups[name] == nil {
				groups[name] = &groupAccount{limit: limit}
			}
			groups[name].members = append(groups[name].members, b.keep(owner))
		}
	}
	for _, g := range groups {
		for _, a := range g.members {
			a.group.Store(g)
		}
	}
	b.shares.Store(parts)
	for name := range b.accounts {
		b.forget(name)
	}
}

// keep returns the account of an owner with bounds, which is kept. It is called with the lock held.
func (b *Budget) keep(owner string) *Account {
	a := b.account(owner)
	a.kept = true
	return a
}

// Open returns the account of an owner, for a log that closes it.
func (b *Budget) Open(owner string) *Account {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	a := b.account(owner)
	a.logs++
	b.mu.Unlock()
	a.activeOwners()
	return a
}

// account is called with the lock held.
func (b *Budget) account(owner string) *Account {
	a := b.accounts[owner]
	if a == nil {
		a = b.activity.find(owner)
	}
	if a == nil {
		a = &Account{budget: b, owner: owner}
		a.limit.Store(noLimit)
	}
	b.accounts[owner] = a
	return a
}

// forget removes an account that is not needed any more. It is called with the lock held.
func (b *Budget) forget(owner string) {
	if a := b.accounts[owner]; a != nil && a.logs == 0 && !a.kept {
		delete(b.accounts, owner)
	}
}

// exceeded reports whether the logs, and what is kept for owners that hold less than their share,
// exceed the limit.
func (b *Budget) exceeded() bool {
	free := b.limit - b.used.Load()
	parts := b.shares.Load()
	if parts == nil || free >= parts.sum {
		return free < 0
	}
	return free < parts.unused()
}

// Used returns how many charged bytes the logs hold.
func (b *Budget) Used() int64 { return b.used.Load() }

// Waiting returns the accounts for which an append waits, in the order of the first of each.
func (b *Budget) Waiting() (all []*Account) {
	if b == nil || b.waiters.Load() == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := make(map[*Account]bool)
	for e := b.waiting.Front(); e != nil; e = e.Next() {
		if a := e.Value.(*budgetWaiter).account; !seen[a] {
			seen[a] = true
			all = append(all, a)
		}
	}
	return all
}

// enqueue adds a waiter. It is granted at once if the account is not exceeded.
func (a *Account) enqueue() *budgetWaiter {
	b := a.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	w := &budgetWaiter{account: a, granted: make(chan struct{})}
	w.element = b.waiting.PushBack(w)
	b.waiters.Add(1)
	if !a.Exceeded() { // memory may have been released before the waiter was in the list
		w.grant()
	}
	return w
}

// grantNext wakes the first waiter whose account is not exceeded. That waiter calls grantNext after
// its append, so each is woken only when there is room for it.
func (b *Budget) grantNext() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for e := b.waiting.Front(); e != nil; e = e.Next() {
		if w := e.Value.(*budgetWaiter); !w.account.Exceeded() {
			w.grant()
			return
		}
	}
}

// grant is called with the budget's lock held.
func (w *budgetWaiter) grant() {
	w.leave()
	close(w.granted)
}

// leave removes the waiter from the list, with the budget's lock held.
func (w *budgetWaiter) leave() {
	b := w.account.budget
	b.waiting.Remove(w.element)
	b.waiters.Add(-1)
	w.element = nil
}

// cancel removes the waiter from the list, and reports whether it had been granted.
func (w *budgetWaiter) cancel() (granted bool) {
	b := w.account.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.element == nil {
		return true
	}
	w.leave()
	return false
}
