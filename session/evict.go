package session

import (
	"github.com/runnel-rpc/runnel/session/quota"
	"github.com/runnel-rpc/runnel/stream"
)

// replayShares returns how the memory of all logs is divided.
func replayShares(c *quota.Config, total int64) stream.BudgetShares {
	shares := c.Replay()
	s := stream.BudgetShares{
		Guaranteed: make(map[string]int64),
		Limits:     make(map[string]int64),
		Groups:     make(map[string]int64),
		GroupOf:    shares.GroupOf,
	}
	for owner, part := range shares.Parts(int(total)) {
		s.Guaranteed[owner] = int64(part)
	}
	for owner, share := range shares.Owners {
		if share.Max != nil {
			s.Limits[owner] = int64(*share.Max)
		}
	}
	for group, most := range shares.Groups {
		s.Groups[group] = int64(most)
	}
	return s
}

// evictIfWaiting evicts if appends wait for the budget. It is called, without any session's lock,
// when a session has ended, or a cursor of an ended session may have been closed.
func (r *Registry) evictIfWaiting() {
	for _, a := range r.budget.Waiting() {
		r.evict(a)
	}
}

// evict evicts logs of ended sessions until the account is no longer exceeded: each time the oldest
// of the owner whose logs hold most. A log that a blocking cursor still reads is tried again later.
func (r *Registry) evict(a *stream.Account) {
	r.mu.Lock()
	n := r.ended.Len()
	r.mu.Unlock()
	for ; n > 0 && a.Exceeded(); n-- {
		r.mu.Lock()
		s, done := r.nextEvicted(a)
		r.mu.Unlock()
		if s == nil {
			return
		}
		if s.log.Evict() {
			r.mu.Lock()
			done()
			r.mu.Unlock()
		}
	}
}

// nextEvicted returns the session whose log is evicted next, and a function that records that this
// is done. It is called, and done too, with the lock held.
func (r *Registry) nextEvicted(a *stream.Account) (s *Session, done func()) {
	var victim *owner
	limited := a.ExceedsLimit()
	for _, o := range r.owners {
		switch {
		case o.evictable.Len() == 0:
		case o.account != a && (limited && !a.SameGroup(o.account) || !o.account.MayLose()):
		case victim == nil || o.account.Used() > victim.account.Used():
			victim = o
		}
	}
	if victim == nil {
		return nil, nil
	}
	e := victim.evictable.Front()
	victim.evictable.MoveToBack(e)
	return e.Value.(*Session), func() { victim.evictable.Remove(e) } // no effect if it was removed meanwhile
}
