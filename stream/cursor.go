package stream

import (
	"bytes"
	"math"
	"slices"
	"time"
	"unicode/utf8"
)

// CursorOptions configure a cursor. A cursor with the zero value reads everything from the
// beginning of the log and blocks no append.
type CursorOptions struct {
	// After is the position to begin at. A position beyond the end of the log means the end.
	After int64
	// Notes includes the notes at the position After itself, which an earlier cursor may or may not
	// have returned.
	Notes bool
	// Block makes appends wait for this cursor instead of evicting what it has not read.
	Block bool
	// EventsOnly skips output.
	EventsOnly bool
	// Window is how far the cursor may read beyond the acknowledged position; 0 is no limit.
	Window int64
	// Spool reads what the log has evicted from its Source, at all times. Without it, a cursor reads
	// from the source if it blocks, or while it has not reached what was in memory since it began
	// with something older; later it has a gap when it falls behind.
	Spool bool
	// Watch makes the turns of this cursor (see Next) delay no other work on the output of the owner.
	Watch bool
	// Ready is called once after Next has found nothing, as soon as there is something. It is
	// called with the log's lock held and must neither block nor call the log.
	Ready func()
}

// Cursor is a reader's position in a log. Next, NextUpTo, NextNote, Release and Pending must not be called
// concurrently with each other; the other methods may be called at any time.
type Cursor struct {
	log        *Log
	ready      func()
	block      bool
	eventsOnly bool
	spool      bool
	window     int64
	lent       *segment // of the newest item; belongs to the goroutine that calls Next

	// The log's lock protects the fields below.
	at           position
	number       int64 // number of the entry that contains at, or of the next one
	acked        int64
	notesRead    int  // how many of log.notes were returned or skipped
	late         bool // began before the oldest readable position, and has not moved since
	history      bool // began before the oldest position in memory, and has not reached it
	notify       bool // call ready when there is something to read
	windowClosed bool // call ready when the window opens
	closed       bool
	turn         turn
	timer        *time.Timer // calls callReady; nil if Next never had to wait for a turn

	// Before the oldest position in memory:
	reading *reading // from the source; nil if nothing is loaded
	atGap   bool     // seekNext has found a gap, up to gap
	gap     position
}

// Item is what Next returns: an event, output of one kind, or a gap.
type Item struct {
	From, To  int64 // positions in the log
	Kind      Kind
	Data      []byte // output; must not be changed; valid until the cursor's next Next, NextUpTo or Release
	Truncated bool
	Dropped   int64
	Event     any
	Gap       bool  // what was between From and To has been evicted
	Lost      int64 // bytes of output in a gap
	Spool     bool  // the gap is there because the source does not have that part
	Late      bool  // the gap existed when the cursor was created
}

// NewCursor returns a cursor on l, which must be closed.
func (l *Log) NewCursor(o CursorOptions) *Cursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &Cursor{log: l, ready: o.Ready, block: o.Block, eventsOnly: o.EventsOnly, spool: o.Spool}
	if o.Ready != nil {
		c.turn = newTurn(l.account, o.Watch)
	}
	if !o.EventsOnly {
		c.window = o.Window
	}
	c.seek(o.After)
	for c.notesRead < len(l.notes) && l.notes[c.notesRead].precedes(c.at.seq, !o.Notes) {
		c.notesRead++
	}
	c.history = c.number < l.base
	c.late = c.history && c.startsWithGap()
	c.acked = c.at.seq
	l.cursors = append(l.cursors, c)
	return c
}

// seek sets the cursor's position, which may be inside an entry or before the oldest one. It is not
// beyond what is visible.
func (c *Cursor) seek(seq int64) {
	l := c.log
	seq = min(seq, l.shown)
	if seq >= l.end.seq {
		c.at, c.number = l.end, l.base+int64(max(l.entries.len()-1, 0)) // the newest entry may grow
		return
	}
	if seq < l.oldest.seq {
		c.at = position{seq: seq, events: l.eventsBefore(seq), charge: l.oldest.charge}
		c.number = l.base - 1
		return
	}
	i := l.find(seq)
	e := l.entries.at(i)
	c.number, c.at = l.base+int64(i), e.at
	if seq > e.at.seq {
		c.at = e.inside(seq)
	}
}

// Next returns the next item, with at most MaxPiece bytes of output. If there is nothing to read or
// the window is closed, it returns false, and Ready is called later. The data of the previous item
// is invalid from then on.
//
// While several owners of the budget are active, output is an item only in a turn: before, Next
// returns false, and Ready is called when the turn begins.
func (c *Cursor) Next() (Item, bool) {
	c.Release()
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	if !c.seekNext() {
		c.turn.leave()
		return Item{}, false
	}
	if c.atOutput() {
		if wait := c.turn.enter(); wait > 0 {
			c.readyAfter(wait)
			return Item{}, false
		}
	}
	return c.next(MaxPiece), true
}

// NextUpTo is Next with at most n bytes of output, n > 0. Longer output is cut after a line if
// possible, and never inside a character, so a single character may be longer than n.
func (c *Cursor) NextUpTo(n int64) (Item, bool) {
	c.Release()
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	if !c.seekNext() {
		return Item{}, false
	}
	return c.next(n), true
}

// next returns the next item, which seekNext has found.
func (c *Cursor) next(n int64) Item {
	if it, ok := c.takeNote(); ok {
		return it
	}
	if it, ok := c.takeGap(); ok {
		return it
	}
	n = min(n, c.windowLeft())
	if c.number < c.log.base {
		return c.takeLoaded(n)
	}
	return c.take(n)
}

// atOutput reports whether the next item, which seekNext has found, is output.
func (c *Cursor) atOutput() bool {
	switch l := c.log; {
	case c.atNote():
		return false
	case c.number < l.base:
		return !c.atGap && c.reading.item().Kind != Event
	default:
		return l.entries.at(int(c.number-l.base)).kind != Event
	}
}

// readyAfter calls ready after a wait.
func (c *Cursor) readyAfter(wait time.Duration) {
	if c.timer == nil {
		c.timer = time.AfterFunc(wait, c.callReady)
	} else {
		c.timer.Reset(wait)
	}
}

func (c *Cursor) callReady() {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	if !c.closed {
		c.ready()
	}
}

// NextNote returns the next item if it is a note at the cursor's position, which Next would return too.
func (c *Cursor) NextNote() (Item, bool) {
	c.Release()
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.takeNote()
}

// Release ends the use of the newest item's data, whose memory can then be used again. The next
// call of Next or NextUpTo does the same.
func (c *Cursor) Release() {
	c.lent.release()
	c.lent = nil
}

// Pending reports whether Next would return an item. If not, Ready is called later.
func (c *Cursor) Pending() bool {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.seekNext()
}

// Ack moves the start of the window to seq, if that is later. seq may be beyond what was read.
func (c *Cursor) Ack(seq int64) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.acked = max(c.acked, min(seq, math.MaxInt64-c.window))
	if c.windowClosed && c.windowLeft() > 0 {
		c.windowClosed = false
		c.ready()
	}
}

// Advance moves the cursor to seq, if that is later, as if everything before it had been read.
func (c *Cursor) Advance(seq int64) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if min(seq, l.shown) > c.at.seq && !c.closed {
		c.stopReading()
		c.seek(seq)
		c.history = c.history && c.number < l.base
		c.moveTo(c.at, c.number)
	}
}

// windowLeft returns how far the cursor may still read.
func (c *Cursor) windowLeft() int64 {
	if c.window == 0 {
		return math.MaxInt64
	}
	return c.acked + c.window - c.at.seq
}

// seekNext skips what the cursor does not read, and reports whether there is something to read. If
// not, ready is called later.
func (c *Cursor) seekNext() bool {
	if c.closed {
		return false
	}
	if c.windowLeft() <= 0 {
		c.windowClosed = c.ready != nil
		return false
	}
	l := c.log
	if c.number < l.base {
		switch c.seekStored() {
		case foundItem:
			return true
		case foundNothing:
			return false
		}
	}
	for c.number < l.base+int64(l.entries.len()) {
		if c.atNote() {
			return true
		}
		e := l.entries.at(int(c.number - l.base))
		end := e.end()
		if end.seq > l.shown {
			if c.at.seq >= l.shown {
				break
			}
			end = e.inside(l.shown)
		}
		if c.eventsOnly && e.kind != Event {
			c.moveTo(end, c.number)
		} else if c.at.seq < end.seq {
			return true
		}
		if !c.complete(e) || end.seq == l.shown {
			break
		}
		c.number++
	}
	if c.atNote() {
		return true
	}
	c.notify = c.ready != nil
	return false
}

// atNote reports whether the next item is a note.
func (c *Cursor) atNote() bool {
	return c.notesRead < len(c.log.notes) && c.log.notes[c.notesRead].seq <= c.at.seq
}

func (c *Cursor) takeNote() (Item, bool) {
	if c.closed || !c.atNote() {
		return Item{}, false
	}
	c.notesRead++
	return Item{From: c.at.seq, To: c.at.seq, Kind: Event, Event: c.log.notes[c.notesRead-1].event}, true
}

// take returns the rest of the cursor's entry, at most n bytes of it, and moves the cursor after
// it. The cursor stays on the newest entry, because that may grow.
func (c *Cursor) take(n int64) Item {
	e := c.log.entries.at(int(c.number - c.log.base))
	from, end, number := c.at.seq, e.end(), c.number
	visible := min(end.seq, c.log.shown)
	it := Item{From: from, To: end.seq, Kind: e.kind, Event: e.event, Truncated: e.truncated, Dropped: e.dropped}
	if e.kind != Event {
		it.Data = e.data[from-e.at.seq:]
		c.lent = e.segment.retain()
	}
	switch {
	case visible < end.seq || int64(len(it.Data)) > n:
		it.Data = it.Data[:visible-from]
		if int64(len(it.Data)) > n {
			it.Data = it.Data[:cutLength(it.Data, int(n))]
		}
		it.To, it.Truncated, it.Dropped = from+int64(len(it.Data)), false, 0
		end = e.inside(it.To)
	case c.complete(e):
		number++
	}
	c.moveTo(end, number)
	return it
}

// cutLength returns where to cut b, at most n bytes from its start: after a line, else after a
// character. It exceeds n if the first character does.
func cutLength(b []byte, n int) int {
	if i := bytes.LastIndexByte(b[:n], '\n'); i >= 0 {
		return i + 1
	}
	if n = characterBoundary(b, n); n == 0 {
		_, n = utf8.DecodeRune(b)
	}
	return n
}

// complete reports whether e, the cursor's entry, can no longer grow.
func (c *Cursor) complete(e *entry) bool {
	return e.sealed || c.number < c.log.base+int64(c.log.entries.len())-1
}

// takeGap moves a cursor at a gap after it, and returns the gap.
func (c *Cursor) takeGap() (Item, bool) {
	if !c.atGap {
		return Item{}, false
	}
	it := Item{From: c.at.seq, To: c.gap.seq, Gap: true, Late: c.late, Spool: c.readsSource()}
	it.Lost = min(max(it.To-it.From-(c.gap.events-c.at.events), 0), it.To-it.From)
	c.skipTo(c.gap)
	return it, true
}

func (c *Cursor) moveTo(p position, number int64) {
	c.at, c.number, c.late = p, number, false
	l := c.log
	if !c.eventsOnly {
		l.furthestRead = max(l.furthestRead, p.seq)
	}
	if c.block {
		l.cursorMoved()
	}
}

// Seq returns the cursor's position: everything before it was read.
func (c *Cursor) Seq() int64 {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.at.seq
}

// Close removes the cursor from the log. Ready is not called after Close has returned. Data that
// Next has returned stays valid. Closing twice has no effect.
func (c *Cursor) Close() {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	c.closed, c.notify, c.windowClosed = true, false, false
	c.stopReading()
	c.turn.leave()
	if c.timer != nil {
		c.timer.Stop()
	}
	l.cursors = slices.DeleteFunc(l.cursors, func(x *Cursor) bool { return x == c })
	l.releaseUnread()
	l.wakeAppenders()
}
