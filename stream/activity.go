package stream

import (
	"sync/atomic"
	"time"
)

const (
	// outputActive is how long an owner is active after it has opened a log or had output.
	outputActive = time.Second
	// recountInterval is how often the active owners are counted anew.
	recountInterval = outputActive / 10
	// maxCompared is how many active owners are looked at in each turn.
	maxCompared = 64
)

// activity is which owners of a budget are active. While it is a single one, its output costs two
// loads.
type activity struct {
	count   atomic.Int64               // of owners
	counted atomic.Int64               // when they were counted, by Budget.now
	owners  atomic.Pointer[[]*Account] // replaced under Budget.mu
}

// activeOwners records that the owner is active, and returns how many are, including itself.
func (a *Account) activeOwners() int64 {
	b := a.budget
	if a.active.Load() && b.activity.count.Load() == 1 {
		return 1
	}
	now := b.now()
	a.activeAt.Store(now)
	if !a.active.Load() || now-b.activity.counted.Load() > int64(recountInterval) {
		b.countActive(a, now)
	}
	return b.activity.count.Load()
}

// countActive counts the active owners, of which a is one.
func (b *Budget) countActive(a *Account, now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	owners := []*Account{a}
	for _, o := range b.activity.list() {
		switch {
		case o == a:
		case now-o.activeAt.Load() <= int64(outputActive):
			owners = append(owners, o)
		default:
			o.active.Store(false)
		}
	}
	a.active.Store(true)
	b.activity.owners.Store(&owners)
	b.activity.counted.Store(now)
	b.activity.count.Store(int64(len(owners)))
}

// list returns the active owners.
func (s *activity) list() []*Account {
	if owners := s.owners.Load(); owners != nil {
		return *owners
	}
	return nil
}

// find returns the account of an active owner, which may have been forgotten, or nil.
func (s *activity) find(owner string) *Account {
	for _, a := range s.list() {
		if a.owner == owner {
			return a
		}
	}
	return nil
}

// allBusy reports whether all active owners have as much output as they may work on.
func (s *activity) allBusy(now int64) bool {
	owners := s.list()
	if len(owners) > maxCompared {
		return false
	}
	for _, o := range owners {
		if o.output.next.Load() <= now {
			return false
		}
	}
	return true
}

// now returns a time in nanoseconds of the monotonic clock.
func (b *Budget) now() int64 { return int64(time.Since(b.begin)) }
