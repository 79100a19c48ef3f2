package spool

import (
	"cmp"
	"slices"
	"sort"

	"github.com/runnel-rpc/runnel/session/spool/journal"
)

// entry is what is known of a session in the spool. Spool.mu protects what changes.
type entry struct {
	key    int64 // when the session was made, in nanoseconds since 1970; unique
	owner  *owner
	id     string
	name   string
	params [32]byte // keyed hash of the params of the execute

	start, record journal.Position
	startBytes    int64 // in the journal; 0 before they are written
	recordBytes   int64
	blob          int64 // bytes of output in the record
	output        int64 // allocated bytes of the output file; 0 if there is none
	ended         int64 // when the record was written, in nanoseconds since 1970; 0 before
	open          bool  // a Session of this server writes it
	gone          bool  // was removed
	compressed    bool  // the output file needs no compression, or no more
	busy          bool  // the output file is compressed now
	stuck         bool  // the output file could not be removed
}

// inJournal returns how many bytes of the journal the session takes.
func (e *entry) inJournal() int64 { return e.startBytes + e.recordBytes }

// setRecord sets where the record is, how many bytes of the journal it takes, with how many of output, and when
// it was made.
func (e *entry) setRecord(at journal.Position, size int64, blob int, ended int64) {
	e.record, e.recordBytes, e.blob, e.ended = at, size, int64(blob), ended
}

// owner is what is known of one owner that has sessions in the spool.
type owner struct {
	name    string
	byID    map[string]*entry
	byName  map[string][]*entry // oldest first
	order   []*entry            // oldest first; removed entries stay until they are the majority
	removed int                 // of order
	journal int64               // bytes of the entries in the journal
	output  int64               // bytes of the output files
}

// index has all sessions of a spool. The spool's lock protects it.
type index struct {
	owners map[string]*owner
	byKey  map[int64]*entry
	newest int64
	mixed  bool // the order in owners is not right: call sort
}

func newIndex() index {
	return index{owners: make(map[string]*owner), byKey: make(map[int64]*entry)}
}

// add adds a session, whose key is not in use. An older session of the owner with the same id is
// found only by its key. If the key is not the largest one, sort must be called before anything is found.
func (x *index) add(e *entry, ownerName string) {
	o := x.owners[ownerName]
	if o == nil {
		o = &owner{name: ownerName, byID: make(map[string]*entry)}
		x.owners[ownerName] = o
	}
	e.owner = o
	if same := o.byID[e.id]; same == nil || same.key < e.key {
		o.byID[e.id] = e
	}
	if e.name != "" {
		if o.byName == nil {
			o.byName = make(map[string][]*entry)
		}
		o.byName[e.name] = append(o.byName[e.name], e)
	}
	o.order = append(o.order, e)
	x.mixed = x.mixed || e.key < x.newest
	o.journal += e.inJournal()
	o.output += e.output
	x.byKey[e.key] = e
	x.newest = max(x.newest, e.key)
}

// sort puts the sessions of each owner into the order of their keys, which is not that in the journal.
func (x *index) sort() {
	if !x.mixed {
		return
	}
	x.mixed = false
	byKey := func(a, b *entry) int { return cmp.Compare(a.key, b.key) }
	for _, o := range x.owners {
		slices.SortFunc(o.order, byKey)
		for _, list := range o.byName {
			slices.SortFunc(list, byKey)
		}
	}
}

// remove removes a session.
func (x *index) remove(e *entry) {
	o := e.owner
	e.gone = true
	delete(x.byKey, e.key)
	o.journal -= e.inJournal()
	o.output -= e.output
	if o.byID[e.id] == e {
		delete(o.byID, e.id)
	}
	if e.name != "" {
		list := o.byName[e.name]
		if i := slices.Index(list, e); i >= 0 {
			list = slices.Delete(list, i, i+1)
		}
		if o.byName[e.name] = list; len(list) == 0 {
			delete(o.byName, e.name)
		}
	}
	if o.removed++; o.removed > len(o.order)/2 {
		o.order = slices.DeleteFunc(o.order, func(e *entry) bool { return e.gone })
		o.removed = 0
	}
	if len(o.order) == 0 {
		delete(x.owners, o.name)
	}
}

// count returns how many sessions the owner has.
func (o *owner) count() int { return len(o.order) - o.removed }

// oldestEnded returns the oldest session of the owner that has ended and satisfies ok, or nil.
func (o *owner) oldestEnded(ok func(*entry) bool) *entry {
	for _, e := range o.order {
		if !e.gone && !e.open && e.ended != 0 && ok(e) {
			return e
		}
	}
	return nil
}

// cursor is a position in the sessions of an owner: the newest of rest is next.
type cursor struct{ rest []*entry }

// before returns a cursor on the newest session whose key is below key; 0 is no limit.
func (o *owner) before(key int64) cursor {
	i := len(o.order)
	if key > 0 {
		i = sort.Search(i, func(i int) bool { return o.order[i].key >= key })
	}
	return cursor{o.order[:i]}
}

// newest returns the session at the cursor.
func (c *cursor) newest() *entry { return c.rest[len(c.rest)-1] }

// skip moves the cursor to the next session that has ended and was not removed, and reports whether there
// is one.
func (c *cursor) skip() bool {
	for n := len(c.rest); n > 0; n-- {
		if e := c.rest[n-1]; !e.gone && !e.open {
			return true
		}
		c.rest = c.rest[:n-1]
	}
	return false
}

// merge is a heap of cursors, none at its end, that has the newest session first.
type merge []cursor

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return m[i].newest().key > m[j].newest().key }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merge) Push(x any)        { *m = append(*m, x.(cursor)) }

func (m *merge) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

// most returns the owner that has most of something, or nil if none has any.
func (x *index) most(of func(*owner) int64) (found *owner) {
	for _, o := range x.owners {
		if n := of(o); n > 0 && (found == nil || n > of(found)) {
			found = o
		}
	}
	return found
}

// surplus returns n sessions that are removed because there are too many: each time the oldest ended one of
// the owner that has most. There may be fewer.
func (x *index) surplus(n int) (list []*entry) {
	type rest struct {
		entries []*entry // of an owner
		count   int
	}
	owners := make([]*rest, 0, len(x.owners))
	for _, o := range x.owners {
		owners = append(owners, &rest{o.order, o.count()})
	}
	for len(list) < n && len(owners) > 0 {
		o := slices.MaxFunc(owners, func(a, b *rest) int { return cmp.Compare(a.count, b.count) })
		i := slices.IndexFunc(o.entries, func(e *entry) bool { return !e.gone && !e.open && e.ended != 0 })
		if i < 0 {
			owners = slices.DeleteFunc(owners, func(r *rest) bool { return r == o })
			continue
		}
		list = append(list, o.entries[i])
		o.entries, o.count = o.entries[i+1:], o.count-1
	}
	return list
}

// where returns the sessions that satisfy ok, in any order.
func (x *index) where(ok func(*entry) bool) (list []*entry) {
	for _, e := range x.byKey {
		if ok(e) {
			list = append(list, e)
		}
	}
	return list
}
