package session

import (
	"slices"
	"sort"
)

// index is the sessions of a registry in the order in which they were made. It belongs to the registry's lock.
type index struct {
	entries []indexEntry // oldest first
	gone    int          // entries without a session
	last    int64        // the newest created that was ever given
}

// indexEntry keeps its place when its session is gone, so that the index can be searched.
type indexEntry struct {
	created int64
	s       *Session
}

// add puts a session behind all others. Created is unique: a session that is made within the nanosecond of the one
// before it, or when the clock was set back, is given the next.
func (x *index) add(s *Session, now int64) {
	x.last = max(now, x.last+1)
	s.created = x.last
	x.entries = append(x.entries, indexEntry{s.created, s})
}

// remove takes a session out. Once half of the entries are empty they are dropped, so a removal costs the same however
// many sessions there are.
func (x *index) remove(s *Session) {
	x.entries[x.search(s.created)].s = nil
	x.gone++
	if x.gone > len(x.entries)/2 {
		x.entries = slices.DeleteFunc(x.entries, func(e indexEntry) bool { return e.s == nil })
		x.gone = 0
	}
}

// search finds the first entry that was not created before.
func (x *index) search(created int64) int {
	return sort.Search(len(x.entries), func(i int) bool { return x.entries[i].created >= created })
}

// before returns at most n of the owner's sessions that were made before created, newest first; 0 is now.
func (x *index) before(owner string, created int64, n int) (list []*Session) {
	i := len(x.entries)
	if created > 0 {
		i = x.search(created)
	}
	for i--; i >= 0 && len(list) < n; i-- {
		if s := x.entries[i].s; s != nil && s.spec.Owner == owner {
			list = append(list, s)
		}
	}
	return list
}
