package session

import (
	"container/heap"
	"math"
	"slices"
)

// List returns the owner's sessions for which Begin was called, newest first.
func (r *Registry) List(owner string) []*Session { return r.ListBefore(owner, 0, math.MaxInt) }

// ListBatch is how many sessions are listed at once with the registry's lock held.
const ListBatch = 256

// ListBefore returns at most n of the owner's sessions for which Begin was called and whose Created is
// less than created, newest first; 0 is no limit. Its time depends on how many sessions of that
// owner it examines, not on how many there are, nor on those of other owners.
func (r *Registry) ListBefore(owner string, created int64, n int) []*Session {
	return listBefore(created, n, func(created int64, n int) []*Session {
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
func (r *Registry) ListOwnersBefore(permitted func(owner string) bool, created int64, n int) []*Session {
	names := r.ownerNames()
	if permitted != nil {
		names = slices.DeleteFunc(names, func(owner string) bool { return !permitted(owner) })
	}
	return listBefore(created, n, func(created int64, n int) []*Session {
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

func (r *Registry) ownerNames() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := make([]string, 0, len(r.owners))
	for name := range r.owners {
		names = append(names, name)
	}
	return names
}

// listBefore returns the first n sessions for which Begin was called. batch returns some of those that
// were created before a time, newest first, or nil.
func listBefore(created int64, n int, batch func(created int64, n int) []*Session) (list []*Session) {
	for len(list) < n {
		next := batch(created, min(ListBatch, n-len(list)))
		if len(next) == 0 {
			break
		}
		created = next[len(next)-1].created
		list = append(list, slices.DeleteFunc(next, func(s *Session) bool { return !s.begun() })...)
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
