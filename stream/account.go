package stream

import (
	"math"
	"sync/atomic"
)

// Account is what the logs of one owner hold of a budget, and the order of the work on its output. A
// nil Account bounds nothing. All methods may be called concurrently.
type Account struct {
	budget *Budget
	owner  string
	used   atomic.Int64 // charged bytes
	share  atomic.Int64 // guaranteed to the owner
	limit  atomic.Int64 // of the owner
	group  atomic.Pointer[groupAccount]
	logs   int  // protected by Budget.mu, like kept
	kept   bool // also without a log

	activeAt      atomic.Int64 // when the owner was active last, by Budget.now
	active        atomic.Bool  // is in activity.owners
	output, watch turnLine     // turns of its readers and cursors, and of the cursors that only watch
}

// groupAccount is what bounds the logs of a group of owners together. It does not change.
type groupAccount struct {
	limit   int64
	members []*Account
}

func (g *groupAccount) exceeded() bool {
	sum := int64(0)
	for _, a := range g.members {
		sum += a.used.Load()
	}
	return sum > g.limit
}

// Used returns how many charged bytes the logs of the owner hold.
func (a *Account) Used() int64 { return a.used.Load() }

// MayLose reports whether the owner holds more than what is guaranteed to it.
func (a *Account) MayLose() bool { return a.used.Load() > a.share.Load() }

// Exceeded reports whether the logs of the owner hold too much: more than the owner or its group may
// have, or more than its share while all logs together, and what is kept for other owners, exceed
// the budget.
func (a *Account) Exceeded() bool {
	if a == nil {
		return false
	}
	return a.MayLose() && a.budget.exceeded() || a.ExceedsLimit()
}

// ExceedsLimit reports whether the logs of the owner hold more than the owner or its group may have.
func (a *Account) ExceedsLimit() bool {
	if a.used.Load() > a.limit.Load() {
		return true
	}
	g := a.group.Load()
	return g != nil && g.exceeded()
}

// SameGroup reports whether two accounts are of one group whose limit bounds them.
func (a *Account) SameGroup(b *Account) bool {
	g := a.group.Load()
	return g != nil && g == b.group.Load()
}

// add charges n bytes, or releases them if n is negative.
func (a *Account) add(n int64) {
	if a == nil || n == 0 {
		return
	}
	a.used.Add(n)
	a.budget.used.Add(n)
	if n < 0 {
		a.grantNext()
	}
}

// grantNext passes on a grant that was not used, or that has left room.
func (a *Account) grantNext() {
	if a != nil && a.budget.waiters.Load() > 0 {
		a.budget.grantNext()
	}
}

// close ends the use of the account by a log, which has released all that it was charged.
func (a *Account) close() {
	if a == nil {
		return
	}
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	a.logs--
	a.budget.forget(a.owner)
}

// noLimit is the limit of an owner without one.
const noLimit = math.MaxInt64
