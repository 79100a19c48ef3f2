package session

import "math"

// List returns all sessions of an owner.
func (r *Registry) List(owner string) []*Session { return r.listOf(owner, 0, math.MaxInt) }

// listOf is ListBefore without a spool, and so without an error.
func (r *Registry) listOf(owner string, created int64, n int) []*Session {
	list, _ := r.ListBefore(owner, created, n, AllSessions)
	return list
}

// listOfOwners is ListOwnersBefore without a spool.
func (r *Registry) listOfOwners(permitted func(owner string) bool, created int64, n int) []*Session {
	list, _ := r.ListOwnersBefore(permitted, created, n, AllSessions)
	return list
}
