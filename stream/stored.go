package stream

import (
	"errors"
	"fmt"
)

// reading is what a cursor reads from the source: one part of the log at a time. The log's lock
// protects its fields.
type reading struct {
	cursor *Cursor
	load   Load
	loaded bool // done was called
	awaits bool // call ready when it is
	part   *Loaded
	next   int   // index of the next item of part
	err    error // why there is no part, or why its rest cannot be used
}

// item returns the next item, which seekLoaded has found.
func (r *reading) item() *Item { return &r.part.Items[r.next] }

// readsSource reports whether the cursor reads from the source what memory no longer has.
func (c *Cursor) readsSource() bool {
	return c.log.source != nil && (c.spool || c.block || c.history)
}

// startsWithGap reports whether a new cursor before the oldest position in memory is at a gap.
func (c *Cursor) startsWithGap() bool {
	_, missing := c.missing()
	return missing
}

// found is what a cursor before the oldest position in memory has found.
type found uint8

const (
	foundNothing found = iota // ready is called later
	foundItem
	foundMemory // the cursor has reached the oldest position in memory
)

// seekStored is seekNext before the oldest position in memory.
func (c *Cursor) seekStored() found {
	l := c.log
	for {
		c.atGap = false
		if c.at.seq >= l.oldest.seq {
			c.enterMemory()
			return foundMemory
		}
		if c.atNote() {
			return foundItem
		}
		if to, missing := c.missing(); missing {
			if !c.eventsOnly || c.at.events < to.events {
				c.atGap, c.gap = true, to
				return foundItem
			}
			c.skipTo(to) // no events are missing
			continue
		}
		if c.eventsOnly && c.at.events == l.oldest.events {
			c.skipTo(position{c.upToNote(l.oldest.seq), c.at.events, l.oldest.charge})
			continue
		}
		switch {
		case c.reading == nil:
			c.read()
			return foundNothing
		case !c.reading.loaded:
			c.reading.awaits = c.ready != nil
			return foundNothing
		case c.seekLoaded():
			return foundItem
		}
	}
}

// missing reports whether what follows the cursor's position can be read neither from the source
// nor from memory, and up to where.
func (c *Cursor) missing() (to position, missing bool) {
	l, r := c.log, c.reading
	if !c.readsSource() {
		return l.oldest, true
	}
	if r != nil && r.part != nil { // whether or not the source still has it
		return position{}, false
	}
	oldest, end := l.source.Bounds()
	switch {
	case oldest.Seq >= end.Seq || c.at.seq >= end.Seq || oldest.Seq >= l.oldest.seq:
		return l.oldest, true
	case c.at.seq < oldest.Seq:
		return position{oldest.Seq, oldest.Events, l.oldest.charge}, true
	case r != nil && r.err != nil:
		return c.readableAfter(r.err), true
	}
	return position{}, false
}

// readableAfter returns the end of the gap that an error of the source causes.
func (c *Cursor) readableAfter(err error) position {
	l := c.log
	var unreadable *UnreadableError
	if errors.As(err, &unreadable) && unreadable.Next > c.at.seq && unreadable.Next < l.oldest.seq {
		return position{unreadable.Next, l.eventsBefore(unreadable.Next), l.oldest.charge}
	}
	return l.oldest
}

// skipTo moves the cursor to a position, at most the oldest one in memory, as if nothing were
// before.
func (c *Cursor) skipTo(to position) {
	c.stopReading()
	if to.seq < c.log.oldest.seq {
		c.moveTo(to, c.number)
	} else {
		c.enterMemoryAt(c.log.oldest, c.log.base)
	}
}

// enterMemory continues in memory at the cursor's position.
func (c *Cursor) enterMemory() {
	c.stopReading()
	c.seek(c.at.seq)
	c.enterMemoryAt(c.at, c.number)
}

func (c *Cursor) enterMemoryAt(p position, number int64) {
	c.history = false
	c.moveTo(p, number)
}

// read begins to load what follows the cursor's position.
func (c *Cursor) read() {
	r := &reading{cursor: c, awaits: c.ready != nil}
	c.reading = r
	r.load = c.log.source.Load(c.at.seq, c.eventsOnly, r.done, r.revoked)
}

// Loading reports whether the cursor waits for what it reads from the source.
func (c *Cursor) Loading() bool {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.reading != nil && !c.reading.loaded
}

// stopReading forgets what is loaded, or cancels the load.
func (c *Cursor) stopReading() {
	r := c.reading
	c.reading, c.atGap = nil, false
	if r == nil {
		return
	}
	if !r.loaded && r.load != nil {
		r.load.Cancel()
	}
	r.forget()
}

// forget releases the loaded part.
func (r *reading) forget() {
	if p := r.part; p != nil {
		r.part = nil
		p.release()
	}
}

func (p *Loaded) release() {
	if p != nil && p.Release != nil {
		p.Release()
	}
}

// done is called by the source when it has loaded part.
func (r *reading) done(part *Loaded, err error) {
	c := r.cursor
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	if c.reading != r || r.loaded {
		part.release()
		return
	}
	r.loaded = true
	switch {
	case err != nil:
		r.err = err
		part.release()
	case part == nil || c.at.seq < part.From || c.at.seq >= part.To:
		r.err = fmt.Errorf("stream: the source has loaded another part than that at %d", c.at.seq)
		part.release()
	default:
		r.part = part
	}
	if r.awaits {
		r.awaits = false
		c.ready()
	}
}

// revoked is called by the source when it needs the memory of the part.
func (r *reading) revoked() {
	c := r.cursor
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	if c.reading == r && r.part != nil {
		c.stopReading()
	}
}

// seekLoaded skips what the cursor does not read, and reports whether it is at a loaded item. If
// not, it has moved, or the part is used up, or the rest of it is unusable.
func (c *Cursor) seekLoaded() bool {
	r := c.reading
	for ; r.next < len(r.part.Items); r.next++ {
		it := r.item()
		switch {
		case it.To <= c.at.seq, c.eventsOnly && it.Kind != Event:
		case it.From <= c.at.seq:
			return true
		case c.eventsOnly:
			c.skipOutput(it.From)
			return false
		default:
			r.unusable(it.From)
			return false
		}
	}
	to := r.part.To
	if c.eventsOnly {
		c.skipOutput(to)
	} else if c.at.seq < to {
		r.unusable(to)
		return false
	}
	if c.at.seq >= to {
		c.stopReading()
	}
	return false
}

// skipOutput moves a cursor that skips output to seq, or only to the next note or to the oldest
// position in memory.
func (c *Cursor) skipOutput(seq int64) {
	l := c.log
	seq = min(c.upToNote(seq), l.oldest.seq)
	c.moveTo(position{seq, c.at.events, l.oldest.charge}, c.number)
}

// upToNote returns seq, or the position of the next note if that is before.
func (c *Cursor) upToNote(seq int64) int64 {
	if notes := c.log.notes; c.notesRead < len(notes) {
		return min(seq, notes[c.notesRead].seq)
	}
	return seq
}

// unusable gives up the rest of the part up to next, which is not what it has to be.
func (r *reading) unusable(next int64) {
	r.forget()
	r.err = &UnreadableError{Next: next, Err: errors.New("items are missing")}
}

// takeLoaded returns the rest of the next loaded item, at most n bytes of output, which it copies:
// the source may need the memory at any time. Output is also cut at the next note and at the end of
// what is visible.
func (c *Cursor) takeLoaded(n int64) Item {
	l, r := c.log, c.reading
	it, from := *r.item(), c.at.seq
	it.Spool, it.Late = false, false
	if it.Kind == Event {
		r.next++
		c.moveTo(position{it.To, c.at.events + 1, l.oldest.charge}, c.number)
		return it
	}
	data := it.Data[from-it.From:]
	end := c.upToNote(min(it.To, l.shown))
	data = data[:end-from]
	if n = min(n, MaxPiece); int64(len(data)) > n {
		data = data[:cutLength(data, int(n))]
	}
	c.lent = newSegment(len(data))
	it.Data, it.From = c.lent.append(data, ""), from
	if to := from + int64(len(data)); to < it.To {
		it.To, it.Truncated, it.Dropped = to, false, 0
	} else {
		r.next++
	}
	c.moveTo(position{it.To, c.at.events, l.oldest.charge}, c.number)
	return it
}
