package session

import (
	"slices"
	"sort"
)

// index contains the sessions of a registry in the order of their creation. The registry's lock
// protects it.
type index struct {
	entries []indexEntry // oldest first
	removed int          // entries without a session
	last    int64        // the newest created so far
}

// indexEntry stays after its session was removed, so that the entries can be searched.
type indexEntry struct {
	created int64
	s       *Session
}

// add appends a session and sets its created, which is unique: if the clock has not advanced, or
// was set back, it is the last one plus 1.
func (x *index) add(s *Session, now int64) {
	x.last = max(now, x.last+1)
	s.created = x.last
	x.entries = append(x.entries, indexEntry{s.created, s})
}

// remove removes a session. The empty entries are deleted when they are the majority, so the
// amortized cost does not depend on the number of sessions, except for the binary search.
func (x *index) remove(s *Session) {
	x.entries[x.search(s.created)].s = nil
	x.removed++
	if x.removed > len(x.entries)/2 {
		x.entries = slices.DeleteFunc(x.entries, func(e indexEntry) bool { return e.s == nil })
		x.removed = 0
	}
}

// search returns the index of the first entry that was created at created or later.
func (x *index) search(created int64) int {
	return sort.Search(len(x.entries), func(i int) bool { return x.entries[i].created >= created })
}

// before returns at most n of the owner's sessions that were created before created, newest first;
// 0 is no limit.
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
