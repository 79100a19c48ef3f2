package spool

import (
	"container/heap"
	"slices"
	"time"

	"github.com/runnel-rpc/runnel/stream"
)

// Kept is a session in the spool that has ended and that this server no longer has in memory, or never
// had. It may be removed at any time.
type Kept struct {
	spool *Spool
	entry *entry
}

// Key returns the session's key, by which sessions are ordered.
func (k Kept) Key() int64 { return k.entry.key }

// Owner returns the owner of the session.
func (k Kept) Owner() string { return k.entry.owner.name }

// ID returns the id of the session.
func (k Kept) ID() string { return k.entry.id }

// SameParams reports whether the session was started with these params.
func (k Kept) SameParams(params string) bool { return k.entry.params == k.spool.hash.Sum(params) }

// Options returns the options, with the bounds in force; the zero value for a nil spool.
func (sp *Spool) Options() (o Options) {
	if sp != nil {
		o = sp.o
	}
	return o
}

// Find returns the owner's session with that id.
func (sp *Spool) Find(ownerName, id string) (k Kept, ok bool) {
	if sp == nil {
		return Kept{}, false
	}
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if o := sp.index.owners[ownerName]; o != nil {
		if e := o.byID[id]; e != nil && !e.open {
			return Kept{sp, e}, true
		}
	}
	return Kept{}, false
}

// FindNamed returns the owner's newest session with that name.
func (sp *Spool) FindNamed(ownerName, name string) (k Kept, ok bool) {
	if sp == nil {
		return Kept{}, false
	}
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if o := sp.index.owners[ownerName]; o != nil {
		for _, e := range slices.Backward(o.byName[name]) {
			if !e.open {
				return Kept{sp, e}, true
			}
		}
	}
	return Kept{}, false
}

// Owners returns the names of all owners that have sessions.
func (sp *Spool) Owners() (names []string) {
	if sp == nil {
		return nil
	}
	sp.mu.Lock()
	defer sp.mu.Unlock()
	for name := range sp.index.owners {
		names = append(names, name)
	}
	return names
}

// listBytes is how much of the journal the sessions take that ListBefore returns, apart from one: a client
// may give each a command of a megabyte.
const listBytes = 4 << 20

// ListBefore returns at most n of the sessions of some owners whose key is below key, newest first; 0 is
// no limit of the key. They were not opened by this server, or have ended. There are fewer, and more is
// set, if those together take more than listBytes of the journal.
func (sp *Spool) ListBefore(owners []string, key int64, n int) (list []Kept, more bool) {
	if sp == nil {
		return nil, false
	}
	bytes := int64(0)
	sp.mu.Lock()
	defer sp.mu.Unlock()
	var m merge
	for _, name := range owners {
		if o := sp.index.owners[name]; o != nil {
			if c := o.before(key); c.skip() {
				m = append(m, c)
			}
		}
	}
	heap.Init(&m)
	for len(m) > 0 && len(list) < n {
		e := m[0].newest()
		if bytes += e.startBytes + e.recordBytes - e.blob; bytes > listBytes && len(list) > 0 {
			return list, true
		}
		list = append(list, Kept{sp, e})
		if m[0].rest = m[0].rest[:len(m[0].rest)-1]; m[0].skip() {
			heap.Fix(&m, 0)
		} else {
			heap.Pop(&m)
		}
	}
	return list, false
}

// Loaded is what the spool has of a session.
type Loaded struct {
	Owner, ID, Name string
	Start           []byte        // Start.Meta
	Record          []byte        // that of Session.Complete
	End             stream.Mark   // of the output and the events that were saved
	Source          stream.Source // of these
	Bytes           int64         // of the disk that the output takes
}

// maxReading is how many calls of Load read at once. Others wait.
const maxReading = 16

// Load reads sessions from the disk. An element of the result is nil if the session was removed, or cannot be
// read, which is logged. decode converts the events of their logs. It returns ErrStalled if the disk
// does not respond.
func (sp *Spool) Load(list []Kept, decode func([]byte) (any, error)) ([]*Loaded, error) {
	timer := time.NewTimer(stallAfter)
	defer timer.Stop()
	select {
	case sp.reading <- struct{}{}:
		timer.Reset(stallAfter)
	case <-timer.C:
		return nil, ErrStalled
	}
	loaded, givenUp := make(chan *Loaded), make(chan struct{})
	defer close(givenUp)
	go func() { // it may never return
		defer func() { <-sp.reading }()
		for _, k := range list {
			l, err := k.load(decode)
			if err != nil && !k.gone() {
				sp.warn(err, "session not readable")
			}
			select {
			case loaded <- l:
			case <-givenUp: // nobody waits any more
				return
			}
		}
	}()
	all := make([]*Loaded, 0, len(list))
	for len(all) < len(list) {
		select {
		case l := <-loaded:
			all = append(all, l)
			timer.Reset(stallAfter)
		case <-timer.C:
			return nil, ErrStalled
		}
	}
	return all, nil
}

func (k Kept) gone() bool { return k.now().gone }

// load reads the session from the journal, again if its entries were moved meanwhile.
func (k Kept) load(decode func([]byte) (any, error)) (*Loaded, error) {
	for e := k.now(); ; {
		if e.gone {
			return nil, ErrRemoved
		}
		l, err := k.loadFrom(&e, decode)
		now := k.now()
		if err == nil || now.start == e.start && now.record == e.record {
			return l, err
		}
		e = now
	}
}

// now returns a copy of the entry.
func (k Kept) now() entry {
	k.spool.mu.Lock()
	defer k.spool.mu.Unlock()
	return *k.entry
}

func (k Kept) loadFrom(e *entry, decode func([]byte) (any, error)) (*Loaded, error) {
	sp := k.spool
	text, err := sp.journal.ReadMeta(e.start)
	if err != nil {
		return nil, err
	}
	start, err := parseStart(text)
	if err != nil {
		return nil, err
	}
	if text, err = sp.journal.ReadMeta(e.record); err != nil {
		return nil, err
	}
	record, err := parseRecord(text)
	if err != nil {
		return nil, err
	}
	o := &output{spool: sp, entry: k.entry, decode: decode, end: record.End, inJournal: record.InJournal}
	if o.oldest = record.Oldest; !record.InJournal && e.output == 0 {
		o.oldest = record.End
	}
	return &Loaded{
		Owner: start.Owner, ID: e.id, Name: e.name, Start: start.Session, Record: record.Session,
		End: record.End, Source: o, Bytes: e.output + e.blob,
	}, nil
}

// Forget removes a session that has ended, with its output. The error is ErrStalled if the disk does not
// respond; then the session is removed later, or never.
func (k Kept) Forget() error {
	return k.spool.storers[0].call(func() error { return k.spool.remove(k.entry, true) })
}
