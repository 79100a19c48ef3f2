package session

import (
	"container/heap"
	"slices"
	"sort"
)

// index contains the sessions of one owner in the order of their creation. The registry's lock
// protects it.
type index struct {
	entries []indexEntry // oldest first
	removed int          // entries without a session
}

// indexEntry stays after its session was removed, so that the entries can be searched.
type indexEntry struct {
	created int64
	s       *Session
}

// add appends a session, whose created is larger than that of all others.
func (x *index) add(s *Session) { x.entries = append(x.entries, indexEntry{s.created, s}) }

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

// before returns a cursor on the newest session that was created before created; 0 is no limit.
func (x *index) before(created int64) indexCursor {
	c := indexCursor{x.entries}
	if created > 0 {
		c.rest = x.entries[:x.search(created)]
	}
	c.skipRemoved()
	return c
}

// indexCursor is a position in an index. It is valid until the index is changed.
type indexCursor struct{ rest []indexEntry }

func (c *indexCursor) skipRemoved() {
	for n := len(c.rest); n > 0 && c.rest[n-1].s == nil; n-- {
		c.rest = c.rest[:n-1]
	}
}

// next returns the session at the cursor and moves to the next older one. It returns nil at the end.
func (c *indexCursor) next() *Session {
	n := len(c.rest)
	if n == 0 {
		return nil
	}
	s := c.rest[n-1].s
	c.rest = c.rest[:n-1]
	c.skipRemoved()
	return s
}

// indexMerge is a heap of cursors on different indexes, none of them at its end, that has the
// newest session first.
type indexMerge []indexCursor

func (m indexMerge) Len() int           { return len(m) }
func (m indexMerge) Less(i, j int) bool { return m[i].newest() > m[j].newest() }
func (m indexMerge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *indexMerge) Push(x any)        { *m = append(*m, x.(indexCursor)) }

func (m *indexMerge) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

func (c *indexCursor) newest() int64 { return c.rest[len(c.rest)-1].created }

// next returns the newest session of all cursors and moves that cursor. It returns nil at the end.
func (m *indexMerge) next() *Session {
	if len(*m) == 0 {
		return nil
	}
	first := &(*m)[0]
	s := first.next()
	if len(first.rest) == 0 {
		heap.Pop(m)
	} else {
		heap.Fix(m, 0)
	}
	return s
}
