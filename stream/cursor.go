package stream

import (
	"bytes"
	"math"
	"slices"
	"unicode/utf8"
)

// CursorOptions say how a cursor reads. The zero value reads everything from the beginning of the log and
// paces nobody.
type CursorOptions struct {
	// After is the place behind which to begin; beyond the end of the log it means the end.
	After int64
	// Notes also takes the notes that lie at After itself, which whoever began there may have taken or not.
	Notes bool
	// Paces makes the log wait for this cursor rather than lose what it has not taken.
	Paces bool
	// EventsOnly passes over output.
	EventsOnly bool
	// Window is how far, in places of the log, the cursor goes beyond what was acknowledged; 0 is any.
	Window int64
	// Ready is called, once, when there is something to take after Next found nothing. It is called under
	// the log's lock and must neither block nor call the log.
	Ready func()
}

// Cursor is one reader's place in a log. Next, NextUpTo and Pending must not be called concurrently with each
// other.
type Cursor struct {
	log    *Log
	ready  func()
	paces  bool
	events bool // events only
	window int64

	// All below belongs to the log's lock, as the log's own state does.
	at     place
	number int64 // of the entry that holds at, or of the one to come
	acked  int64
	noted  int  // notes that were taken or passed
	late   bool // has not moved from a place that was gone when it began
	armed  bool
	shut   bool // the window is, and the reader waits for it to open
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
	Late      bool  // a gap that was there when the cursor began
}

// NewCursor returns a cursor on l. It is in use until closed.
func (l *Log) NewCursor(o CursorOptions) *Cursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &Cursor{log: l, ready: o.Ready, paces: o.Paces, events: o.EventsOnly}
	if !o.EventsOnly {
		c.window = o.Window
	}
	c.seek(o.After)
	for c.noted < len(l.notes) && (l.notes[c.noted].seq < c.at.seq || l.notes[c.noted].seq == c.at.seq && !o.Notes) {
		c.noted++
	}
	c.late = c.number < l.base
	c.acked = c.at.seq
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
	if seq > e.at.seq {
		c.at = e.inside(seq)
	}
}

// Next takes what comes next, at most MaxPiece bytes of it. If there is nothing, or the window is shut, it
// returns false and Ready will be called.
func (c *Cursor) Next() (Item, bool) { return c.NextUpTo(MaxPiece) }

// NextUpTo is Next for at most n bytes of output, n > 0: a run of output that is longer is cut, behind a line
// if it can be and never inside a character, so that one character may pass n.
func (c *Cursor) NextUpTo(n int64) (Item, bool) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	if !c.seekNext() {
		return Item{}, false
	}
	if it, ok := c.skipGap(); ok {
		return it, true
	}
	if c.atNote() {
		c.noted++
		return Item{From: c.at.seq, To: c.at.seq, Kind: Event, Event: c.log.notes[c.noted-1].event}, true
	}
	return c.take(min(n, c.room())), true
}

// Pending reports whether Next would return something. If not, Ready will be called.
func (c *Cursor) Pending() bool {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.seekNext()
}

// Ack opens the window behind seq: all up to there is consumed, or wanted, for it may lie beyond what was taken.
func (c *Cursor) Ack(seq int64) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.acked = max(c.acked, min(seq, math.MaxInt64-c.window))
	if c.shut && c.room() > 0 {
		c.shut = false
		c.ready()
	}
}

// Advance moves the cursor to seq, if that lies before it, as if all up to there was taken.
func (c *Cursor) Advance(seq int64) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if seq > c.at.seq && !c.closed {
		c.seek(seq)
		c.moveTo(c.at, c.number)
	}
}

// room is how much the window lets through.
func (c *Cursor) room() int64 {
	if c.window == 0 {
		return math.MaxInt64
	}
	return c.acked + c.window - c.at.seq
}

// seekNext moves the cursor over what it does not want and reports whether there is something that it does.
// If not, the reader will be told.
func (c *Cursor) seekNext() bool {
	if c.closed {
		return false
	}
	if c.room() <= 0 {
		c.shut = c.ready != nil
		return false
	}
	l := c.log
	if c.number < l.base {
		if c.lost() {
			return true
		}
		c.moveTo(l.oldest, l.base)
	}
	for c.number < l.base+int64(len(l.entries)) {
		if c.atNote() {
			return true
		}
		e := &l.entries[c.number-l.base]
		if c.events && e.kind != Event {
			c.moveTo(e.end(), c.number)
		} else if c.at.seq < e.end().seq {
			return true
		}
		if !c.passed(e) {
			break
		}
		c.number++
	}
	if c.atNote() {
		return true
	}
	c.armed = c.ready != nil
	return false
}

// atNote reports whether a note comes next.
func (c *Cursor) atNote() bool {
	return c.noted < len(c.log.notes) && c.log.notes[c.noted].seq <= c.at.seq
}

// take returns what of the cursor's entry lies behind the cursor, at most n bytes of it, and moves there. An
// entry that is the newest may grow, so the cursor stays on it.
func (c *Cursor) take(n int64) Item {
	e := &c.log.entries[c.number-c.log.base]
	from, end, number := c.at.seq, e.end(), c.number
	it := Item{From: from, To: end.seq, Kind: e.kind, Event: e.event, Truncated: e.truncated, Dropped: e.dropped}
	if e.kind != Event {
		it.Data = e.data[from-e.at.seq:]
	}
	switch {
	case int64(len(it.Data)) > n:
		it.Data = it.Data[:cut(it.Data, int(n))]
		it.To, it.Truncated = from+int64(len(it.Data)), false
		end = e.inside(it.To)
	case c.passed(e):
		number++
	}
	c.moveTo(end, number)
	return it
}

// cut is where to cut b so that about n bytes are left: behind a line, else behind a character.
func cut(b []byte, n int) int {
	if i := bytes.LastIndexByte(b[:n], '\n'); i >= 0 {
		return i + 1
	}
	if n = character(b, n); n == 0 {
		_, n = utf8.DecodeRune(b)
	}
	return n
}

// passed reports whether e, the cursor's entry, grows no more.
func (c *Cursor) passed(e *entry) bool {
	return e.sealed || c.number < c.log.base+int64(len(c.log.entries))-1
}

// lost reports whether something that the cursor wants is gone: one that passes over output misses events
// alone.
func (c *Cursor) lost() bool {
	l := c.log
	return c.at.seq < l.oldest.seq && (!c.events || c.at.events < l.oldest.events)
}

// skipGap moves the cursor over what is gone to the oldest place that is kept.
func (c *Cursor) skipGap() (Item, bool) {
	l := c.log
	if c.number >= l.base {
		return Item{}, false
	}
	it := Item{From: c.at.seq, To: l.oldest.seq, Gap: true, Late: c.late}
	it.Lost = it.To - it.From - (l.oldest.events - c.at.events)
	c.moveTo(l.oldest, l.base)
	return it, true
}

func (c *Cursor) moveTo(p place, number int64) {
	c.at, c.number, c.late = p, number, false
	l := c.log
	if !c.events {
		l.sent = max(l.sent, p.seq)
	}
	if c.paces {
		l.stir()
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
	c.closed, c.armed, c.shut = true, false, false
	l.cursors = slices.DeleteFunc(l.cursors, func(x *Cursor) bool { return x == c })
	l.leave()
	l.stir()
}
