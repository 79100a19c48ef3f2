package stream

import "slices"

// CursorOptions say how a cursor reads. The zero value reads everything from the beginning of the log and
// paces nobody.
type CursorOptions struct {
	// After is the place behind which to begin; beyond the end of the log it means the end.
	After int64
	// Paces makes the log wait for this cursor rather than lose what it has not taken.
	Paces bool
	// EventsOnly passes over output.
	EventsOnly bool
	// Ready is called, once, when there is something to take after Next found nothing. It is called under
	// the log's lock and must neither block nor call the log.
	Ready func()
}

// Cursor is one reader's place in a log. Next must not be called concurrently with itself.
type Cursor struct {
	log    *Log
	ready  func()
	paces  bool
	events bool // events only

	// All below belongs to the log's lock, as the log's own state does.
	at     place
	number int64 // of the entry that holds at, or of the one to come
	armed  bool
	closed bool
}

// Item is what a cursor takes at once: an event, a run of output of one kind, or a gap.
type Item struct {
	From, To  int64 // places in the log
	Kind      Kind
	Data      []byte // output; must not be changed, stays valid
	Truncated bool
	Dropped   int64
	Event     any
	Gap       bool  // what lay between From and To is gone
	Lost      int64 // the bytes of output among it
}

// NewCursor returns a cursor on l. It is in use until closed.
func (l *Log) NewCursor(o CursorOptions) *Cursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &Cursor{log: l, ready: o.Ready, paces: o.Paces, events: o.EventsOnly}
	c.seek(o.After)
	l.cursors = append(l.cursors, c)
	return c
}

// seek sets the cursor's place, which may lie inside an entry or before what is kept.
func (c *Cursor) seek(seq int64) {
	l := c.log
	if seq >= l.head.seq {
		c.at, c.number = l.head, l.base+int64(max(len(l.entries)-1, 0)) // the newest entry may grow
		return
	}
	if seq < l.oldest.seq {
		c.at = place{seq: seq, events: l.eventsBefore(seq), charge: l.oldest.charge}
		c.number = l.base - 1
		return
	}
	i := l.find(seq)
	e := &l.entries[i]
	c.number, c.at = l.base+int64(i), e.at
	if skip := seq - e.at.seq; skip > 0 {
		c.at.seq += skip
		c.at.charge += entryOverhead + skip
	}
}

// Next takes what comes next, at most MaxPiece bytes of it. If there is nothing, it returns false and
// Ready will be called.
func (c *Cursor) Next() (Item, bool) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.closed {
		return Item{}, false
	}
	if c.number < l.base {
		if it, ok := c.skipGap(); ok {
			return it, true
		}
	}
	for c.number < l.base+int64(len(l.entries)) {
		e := &l.entries[c.number-l.base]
		if c.events && e.kind != Event {
			c.moveTo(e.end(), c.number)
		} else if it, ok := c.take(e); ok {
			return it, true
		}
		if !c.passed(e) {
			break
		}
		c.number++
	}
	c.armed = c.ready != nil
	return Item{}, false
}

// take returns what of e lies behind the cursor and moves it to e's end. An entry that is the newest may
// grow, so the cursor stays on it.
func (c *Cursor) take(e *entry) (Item, bool) {
	from, end := c.at.seq, e.end()
	if from == end.seq {
		return Item{}, false
	}
	it := Item{From: from, To: end.seq, Kind: e.kind, Event: e.event, Truncated: e.truncated, Dropped: e.dropped}
	if e.kind != Event {
		it.Data = e.data[from-e.at.seq:]
	}
	number := c.number
	if c.passed(e) {
		number++
	}
	c.moveTo(end, number)
	return it, true
}

// passed reports whether e, the cursor's entry, grows no more.
func (c *Cursor) passed(e *entry) bool {
	return e.sealed || c.number < c.log.base+int64(len(c.log.entries))-1
}

// skipGap moves the cursor over what is gone to the oldest place that is kept. A cursor that passes over
// output has a gap only where events were lost.
func (c *Cursor) skipGap() (Item, bool) {
	l := c.log
	it := Item{From: c.at.seq, To: l.oldest.seq, Gap: true}
	events := l.oldest.events - c.at.events
	it.Lost = it.To - it.From - events
	c.moveTo(l.oldest, l.base)
	if it.From == it.To || c.events && events == 0 {
		return Item{}, false
	}
	return it, true
}

func (c *Cursor) moveTo(p place, number int64) {
	c.at, c.number = p, number
	l := c.log
	if !c.events {
		l.sent = max(l.sent, p.seq)
	}
	if c.paces && l.waiting > 0 {
		l.room.Broadcast()
	}
}

// Seq is the cursor's place: all up to it was taken.
func (c *Cursor) Seq() int64 {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.at.seq
}

// Close takes the cursor off the log. Ready is not called after it returned.
func (c *Cursor) Close() {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	c.closed, c.armed = true, false
	l.cursors = slices.DeleteFunc(l.cursors, func(x *Cursor) bool { return x == c })
	l.room.Broadcast()
}
