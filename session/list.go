package session

import (
	"cmp"
	"container/heap"
	"math"
	"slices"

	"github.com/runnel-rpc/runnel/session/spool"
)

// ListBatch is how many sessions are listed at once with the registry's lock held.
const ListBatch = 256

// Scope says which sessions are listed.
type Scope uint8

// The scopes.
const (
	AllSessions Scope = iota // in memory and in the spool
	InMemory                 // those in memory: all that have not ended, and some that have
)

// ListBefore returns at most n of the owner's sessions for which Begin was called and whose Created is
// less than created, newest first; 0 is no limit. Its time depends on how many sessions of that
// owner it examines, not on how many there are, nor on those of other owners. AllSessions includes those that
// only the spool has; if these cannot be read at the moment, the error is ErrUnavailable and the list has
// the others.
func (r *Registry) ListBefore(owner string, created int64, n int, scope Scope) ([]*Session, error) {
	return r.listBefore(created, n, scope, []string{owner}, func(created int64, n int) []*Session {
		r.mu.Lock()
		defer r.mu.Unlock()
		o := r.owners[owner]
		if o == nil {
			return nil
		}
		c := o.index.before(created)
		return takeNext(c.next, n)
	})
}

// ListOwnersBefore is ListBefore for the sessions of all owners that permitted reports, in one
// order; nil permits all. permitted is called without a lock, once for each owner that has a
// session.
func (r *Registry) ListOwnersBefore(permitted func(owner string) bool, created int64, n int, scope Scope) ([]*Session, error) {
	names := r.ownerNames()
	if permitted != nil {
		names = slices.DeleteFunc(names, func(owner string) bool { return !permitted(owner) })
	}
	return r.listBefore(created, n, scope, names, func(created int64, n int) []*Session {
		r.mu.Lock()
		defer r.mu.Unlock()
		var m indexMerge
		for _, name := range names {
			if o := r.owners[name]; o != nil {
				if c := o.index.before(created); len(c.rest) > 0 {
					m = append(m, c)
				}
			}
		}
		heap.Init(&m)
		return takeNext(m.next, n)
	})
}

// ownerNames returns the names of all owners that have sessions, in memory or in the spool.
func (r *Registry) ownerNames() []string {
	names := r.o.Spool.Owners()
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.owners {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// listBefore returns the first n sessions for which Begin was called. batch returns some of those in memory
// that were created before a time, newest first, or nil. With AllSessions, what the spool has of these owners
// is added, or if that cannot be read, left out: then the error is ErrUnavailable.
func (r *Registry) listBefore(created int64, n int, scope Scope, owners []string, batch func(created int64, n int) []*Session) (list []*Session, err error) {
	for len(list) < n {
		most := min(ListBatch, n-len(list))
		sessions := batch(created, most)
		var kept []spool.Kept
		if err == nil && scope == AllSessions {
			var more bool
			if kept, more = r.o.Spool.ListBefore(owners, created, most); more { // older sessions follow later
				oldest := kept[len(kept)-1].Key()
				sessions = slices.DeleteFunc(sessions, func(s *Session) bool { return s.created < oldest })
			}
			kept = missing(sessions, kept)
		}
		if len(sessions)+len(kept) == 0 {
			break
		}
		sessions, kept = newest(sessions, kept, most)
		created = lastCreated(sessions, kept)
		if len(kept) > 0 { // a disk that does not respond is waited for once
			var restored []*Session
			restored, err = r.restore(kept)
			sessions = append(sessions, restored...)
		}
		slices.SortFunc(sessions, func(a, b *Session) int { return cmp.Compare(b.created, a.created) })
		list = append(list, slices.DeleteFunc(sessions, func(s *Session) bool { return !s.begun() })...)
	}
	return list, err
}

// newest returns the newest n of the sessions in memory and in the spool. Both are sorted, the newest first.
func newest(sessions []*Session, kept []spool.Kept, n int) ([]*Session, []spool.Kept) {
	for len(sessions)+len(kept) > n {
		if len(sessions) == 0 || len(kept) > 0 && kept[len(kept)-1].Key() < sessions[len(sessions)-1].created {
			kept = kept[:len(kept)-1]
		} else {
			sessions = sessions[:len(sessions)-1]
		}
	}
	return sessions, kept
}

// lastCreated returns when the oldest of them was created.
func lastCreated(sessions []*Session, kept []spool.Kept) int64 {
	created := int64(math.MaxInt64)
	if i := len(sessions); i > 0 {
		created = sessions[i-1].created
	}
	if i := len(kept); i > 0 {
		created = min(created, kept[i-1].Key())
	}
	return created
}

// missing returns those of kept that are not among the sessions. Both are sorted, the newest first.
func missing(sessions []*Session, kept []spool.Kept) (list []spool.Kept) {
	i := 0
	for _, k := range kept {
		for i < len(sessions) && sessions[i].created > k.Key() {
			i++
		}
		if i == len(sessions) || sessions[i].created != k.Key() {
			list = append(list, k)
		}
	}
	return list
}

// takeNext calls next at most n times, until it returns nil.
func takeNext(next func() *Session, n int) (list []*Session) {
	for len(list) < n {
		s := next()
		if s == nil {
			break
		}
		list = append(list, s)
	}
	return list
}
