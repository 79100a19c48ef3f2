package stream

import (
	"math"
	"slices"
	"sort"
	"sync"
)

// Kind says what an entry of a log is: a state event, or output of one stream.
type Kind uint8

// The kinds.
const (
	Event Kind = iota
	Stdout
	Stderr
	PTY
	kinds
)

const (
	// MaxPiece is the most output in bytes of one [Item] or [Piece].
	MaxPiece = 64 << 10
	// entryOverhead is what an entry is charged besides its bytes: about its size in memory.
	entryOverhead = 96
	// maxOverrun is by how many charged bytes a log may exceed its bound for a blocking cursor. It
	// is used by events, and by the rest of two pipes after the process has ended, which must not
	// wait.
	maxOverrun = 1 << 20

	// everything is Log.shown if no end of what is visible was set.
	everything = math.MaxInt64

	// maxEventRuns is how many runs of evicted events a log remembers, so that gaps are exact.
	maxEventRuns = 16 << 10

	// Segments for small pieces have minSegment to maxSegment bytes. A piece of more than maxShared
	// bytes gets a segment of its own, so at most a quarter of a segment stays unused.
	minSegment = 512
	maxSegment = 32 << 10
	maxShared  = maxSegment / 4
	// minAdopted is how many bytes a read has to have for the log to keep the buffer of the reader
	// instead of a copy.
	minAdopted = MaxPiece / 8 * 7
)

// Log keeps the newest output and state events of one process. A position in it (seq) counts the
// bytes of output and the events (1 each) before it, so the difference of two positions is what
// lies between them.
//
// A log holds about its bound in charged bytes: the bytes of its entries and entryOverhead for each
// entry. Beyond it the oldest entries are evicted, whether or not they were read. If there is a
// blocking cursor (see [CursorOptions]), [Log.Append] waits instead when that cursor is a whole
// bound behind, until a quarter of the bound is free. While the budget is exceeded, the bound is
// minShare. All methods may be called concurrently.
//
// With a [Saver], cursors read only what was saved, only what was stored is evicted, and cursors read
// from the [Source] what was evicted.
type Log struct {
	bound     int64
	onBlocked func(bool)
	account   *Account
	saver     *Saver // nil if nothing saves the log
	source    Source // nil if there is none

	mu        sync.Mutex
	appenders int           // appends that wait for room
	wakeup    chan struct{} // closed by wakeAppenders; nil if none waits
	resumeAt  int64         // the appends that wait are woken when no more than this is unread
	delays    int           // calls of DelayOutput that were not released
	unblocked bool          // appends no longer wait
	releasing bool          // release the budget when the last cursor is closed

	entries entryRing
	base    int64    // number of the oldest entry; the first entry of the log has number 0
	segment *segment // for the next small pieces; nil at first
	end     position
	oldest  position   // the beginning of the oldest entry
	evicted []eventRun // of the evicted events, the newest runs
	notes   []note
	cursors []*Cursor

	tails        *[kinds]captureTail // output that was evicted; nil if LogOptions.Keep is 0
	heads        *[kinds]captureHead // the first output; nil if LogOptions.KeepHead is 0
	counts       Counts
	appended     [kinds]int64 // bytes of output appended, with markers
	furthestRead int64        // the furthest position of any cursor that reads output
	shown        int64        // cursors return no output and no event beyond it
	timeline     *timeline    // nil without LogOptions.Timeline
	recorder     *recorder    // nil without a recording: see Record
	restored     bool         // by OpenLog
}

// position is a position in the log, in three measures that grow together.
type position struct {
	seq    int64 // bytes of output, and events
	events int64 // events
	charge int64 // bytes of output, and entryOverhead for each entry
}

func (p position) mark() Mark { return Mark{p.seq, p.events} }

// Counts are sums over the life of a log, in bytes except TruncatedLines.
type Counts struct {
	Written        [kinds]int64 // what the process wrote, by kind, with what truncation dropped
	TruncatedLines int64
	Dropped        int64 // by truncation
	Lost           int64 // evicted, and not stored, before any cursor had read it
}

// Piece is output to append.
type Piece struct {
	Kind      Kind
	Data      []byte // at most MaxPiece bytes, copied unless segment is set
	Marker    string // appended to Data; not counted as written by the process
	Truncated bool   // the line ends here, at its limit, with a marker
	Sealed    bool   // nothing is joined to its end
	Dropped   int64  // bytes that truncation dropped before Data

	// segment, if not nil, contains Data, which is then not copied. Append takes over a reference
	// to it. There is no marker then.
	segment *segment
}

// LogOptions configure a log.
type LogOptions struct {
	// Bound is how many charged bytes are kept.
	Bound int64
	// Account is charged what the log holds, and is closed by [Log.ReleaseBudget]; nil is no budget.
	Account *Account
	// Keep is how many of the newest bytes of each kind of output are kept for [Log.Capture], even if
	// output of another kind has evicted them from the log.
	Keep int64
	// KeepHead is how many of the oldest bytes of each kind of output are kept for [Log.Capture].
	KeepHead int64
	// OnBlocked, if not nil, is called with true when the first append begins to wait, and with
	// false when no append waits any more. It is called with the log's lock held and must neither
	// block nor call the log.
	OnBlocked func(bool)
	// Save, if not nil, saves what is appended: see [Saver].
	Save *SaveOptions
	// Timeline records when output was appended, for [Log.PositionAt].
	Timeline bool
}

// NewLog returns an empty log.
func NewLog(o LogOptions) *Log {
	l := newLog(o)
	if o.Save != nil {
		l.saver = newSaver(l, o.Save)
		l.shown = 0
	}
	return l
}

// newLog returns a log without a saver.
func newLog(o LogOptions) *Log {
	l := &Log{bound: o.Bound, onBlocked: o.OnBlocked, account: o.Account, shown: everything}
	if o.Save != nil {
		l.source = o.Save.Source
	}
	if o.Timeline {
		l.timeline = new(timeline)
	}
	if o.Keep > 0 {
		l.tails = new([kinds]captureTail)
		for kind := range l.tails {
			l.tails[kind].bound = o.Keep
		}
	}
	if o.KeepHead > 0 {
		l.heads = new([kinds]captureHead)
		for kind := range l.heads {
			l.heads[kind].bound = o.KeepHead
		}
	}
	return l
}

// Append appends output. It waits when the slowest blocking cursor is a whole bound behind, when too
// much is not stored ([Saver]), while output is delayed (DelayOutput), and for its share of the budget.
func (l *Log) Append(p Piece) {
	reclaimed := l.account.Exceeded()
	if reclaimed {
		l.account.budget.reclaim(l.account)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	waited := l.wait()
	l.count(p)
	if len(p.Data)+len(p.Marker) > 0 {
		l.timeline.add(l.end.seq, int64(len(p.Data)+len(p.Marker)))
		l.recordOutput()
		if !l.join(p) {
			data, s := l.store(p)
			l.push(entry{
				kind:      p.Kind,
				data:      data,
				segment:   s,
				truncated: p.Truncated,
				sealed:    p.Sealed || p.Truncated || p.Dropped > 0,
				dropped:   p.Dropped,
			})
		}
		if !reclaimed && l.account.Exceeded() { // because of this append
			l.mu.Unlock()
			l.account.budget.reclaim(l.account)
			l.mu.Lock()
		}
		l.trim(0)
		l.announce(p.Kind)
	}
	if waited {
		l.account.grantNext()
	}
}

// AppendEvent appends the state event that event returns, and returns the position after it. It
// never waits. event is called with the log's lock held, and receives that position and the counts
// at it; if it returns nil, nothing is appended.
func (l *Log) AppendEvent(event func(seq int64, counts Counts) any) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trim(entryOverhead) // evict first, so that the counts include what this event evicts
	seq := l.end.seq + 1
	made := event(seq, l.counts)
	if made == nil {
		return l.end.seq
	}
	l.push(entry{kind: Event, sealed: true, event: made})
	if seq == 1 && l.saver != nil {
		l.saver.show(l.end) // a process without output costs nothing to save
	}
	l.announce(Event)
	return seq
}

// Next returns the position and the counts that the next AppendEvent passes to its function, if
// nothing else is appended before.
func (l *Log) Next() (seq int64, counts Counts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trim(entryOverhead)
	return l.end.seq + 1, l.counts
}

// note is an event that does not advance the position.
type note struct {
	seq   int64
	event any
}

// precedes reports whether the note is before seq or, if at is set, at seq.
func (n note) precedes(seq int64, at bool) bool { return n.seq < seq || n.seq == seq && at }

// AppendNote appends an event that does not advance the position. Cursors return it after
// everything that was appended before and before everything that is appended later. Notes are never
// evicted, so a log must have only few.
func (l *Log) AppendNote(event any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seal()
	l.notes = append(l.notes, note{l.end.seq, event})
	l.wakeCursors(Event)
}

// hasNote reports whether there is a note after the position from, and not after to.
func (l *Log) hasNote(from, to int64) bool {
	for i := len(l.notes) - 1; i >= 0 && l.notes[i].seq > from; i-- {
		if l.notes[i].seq <= to {
			return true
		}
	}
	return false
}

// Seal prevents the next output from being joined to the newest entry.
func (l *Log) Seal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seal()
}

func (l *Log) seal() {
	if e := l.entries.newest(); e != nil {
		e.sealed = true
	}
}

// Unblock ends all waiting: from now on, Append does not wait.
func (l *Log) Unblock() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unblocked = true
	l.wakeAppenders()
}

// Counts returns the sums so far.
func (l *Log) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// Bounds returns the oldest position that can be read without a gap after it, and the end of what is
// visible.
func (l *Log) Bounds() (oldest, end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest = l.oldest.seq
	if l.source != nil {
		if from, to := l.source.Bounds(); from.Seq < to.Seq && to.Seq >= oldest {
			oldest = min(oldest, from.Seq)
		}
	}
	return oldest, min(l.end.seq, l.shown)
}

// Tail returns a copy of the newest output of one kind, at most n bytes, and whether there was more
// or a line of it was truncated.
func (l *Log) Tail(kind Kind, n int64) (tail []byte, truncated bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	tail, truncated = l.newest(kind, n)
	return tail, truncated || int64(len(tail)) < l.appended[kind]
}

// newest returns a copy of the newest n bytes of one kind, or of all that are kept, and whether one
// of their lines was truncated.
func (l *Log) newest(kind Kind, n int64) (tail []byte, truncated bool) {
	var have int64
	from := l.entries.len()
	for from > 0 && have < n {
		from--
		if e := l.entries.at(from); e.kind == kind {
			have += int64(len(e.data))
		}
	}
	if have < n && l.tails != nil {
		old := &l.tails[kind]
		tail, truncated = old.last(n-have), old.truncated
	}
	for i := from; i < l.entries.len(); i++ {
		if e := l.entries.at(i); e.kind == kind {
			tail = append(tail, e.data...)
			truncated = truncated || e.truncated
		}
	}
	return tail[max(0, int64(len(tail))-n):], truncated
}

// count adds p to the counts and to the captured head.
func (l *Log) count(p Piece) {
	l.counts.Written[p.Kind] += int64(len(p.Data)) + p.Dropped
	l.counts.Dropped += p.Dropped
	l.appended[p.Kind] += int64(len(p.Data) + len(p.Marker))
	if p.Truncated {
		l.counts.TruncatedLines++
	}
	if l.heads != nil {
		h := &l.heads[p.Kind]
		if l.account.Exceeded() {
			h.freeze()
		}
		l.account.add(h.add(p.Data, p.Marker, p.Truncated))
	}
}

// join adds p to the newest entry, if that is unsealed output of the same kind at the end of the
// segment.
func (l *Log) join(p Piece) bool {
	e := l.entries.newest()
	n := len(p.Data) + len(p.Marker)
	if e == nil || p.segment != nil || p.Dropped > 0 || e.kind != p.Kind || e.sealed ||
		e.segment != l.segment || len(e.data)+n > MaxPiece || !l.segment.room(n) {
		return false
	}
	l.segment.append(p.Data, p.Marker)
	end := len(l.segment.data)
	begin := end - n - len(e.data)
	e.data = l.segment.data[begin:end:end]
	e.truncated, e.sealed = p.Truncated, p.Sealed || p.Truncated
	l.end.seq += int64(n)
	l.end.charge += int64(n)
	l.account.add(int64(n))
	return true
}

// store returns the bytes of p and an entry's reference to the segment that contains them.
func (l *Log) store(p Piece) ([]byte, *segment) {
	if p.segment != nil {
		return p.Data, p.segment
	}
	n := len(p.Data) + len(p.Marker)
	if n > maxShared && !l.segment.room(n) {
		s := newSegment(n)
		return s.append(p.Data, p.Marker), s
	}
	if !l.segment.room(n) {
		used := 0
		if l.segment != nil {
			used = len(l.segment.data)
		}
		l.segment.release()
		l.segment = newSegment(max(n, min(max(2*used, minSegment), maxSegment)))
	}
	return l.segment.append(p.Data, p.Marker), l.segment.retain()
}

func (l *Log) push(e entry) {
	e.at = l.end
	l.entries.push(e)
	l.end = e.end()
	l.account.add(l.end.charge - e.at.charge)
}

// trim evicts the oldest entries beyond the bound, but not what a blocking cursor has not read, or
// what is not stored, up to maxOverrun. more is the charge of the entry that is appended next, 0 if it is in the log
// already.
func (l *Log) trim(more int64) {
	share := l.share()
	if l.end.charge+more-l.oldest.charge <= share {
		return
	}
	needed, most := l.slowest(), l.bound+maxOverrun
	if l.saver.active() {
		needed, most = min(needed, l.saver.stored.charge), maxBacklog(l.bound)+maxOverrun
	}
	for n := l.entries.len(); n > 1 || n > 0 && more > 0; n = l.entries.len() {
		end := l.entries.at(0).end()
		kept := l.end.charge + more - end.charge
		if kept < share || end.charge > needed && kept < most {
			return
		}
		l.evictOldest(end)
		share = l.share()
	}
}

// Evict evicts all but the newest entry, what a blocking cursor has not read, and what is not stored
// yet, and releases the recording and what is kept for Tail and Capture. It reports whether nothing more can be evicted. Nothing may be
// appended later.
func (l *Log) Evict() (done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.releaseCaptured()
	l.releaseRecording()
	l.segment.release()
	l.segment = nil
	needed := l.slowest()
	if l.saver.active() {
		needed = min(needed, l.saver.stored.charge)
	}
	for l.entries.len() > 1 {
		end := l.entries.at(0).end()
		if end.charge > needed {
			return false
		}
		l.evictOldest(end)
	}
	return true
}

// releaseCaptured releases what is kept for Capture besides the entries.
func (l *Log) releaseCaptured() {
	if l.tails != nil {
		for kind := range l.tails {
			l.account.add(-int64(len(l.tails[kind].ring)))
		}
		l.tails = nil
	}
	if l.heads != nil {
		for kind := range l.heads {
			h := &l.heads[kind]
			l.account.add(-int64(cap(h.data)))
			*h = captureHead{}
		}
	}
}

// ReleaseBudget takes the log out of its account, as soon as it has no cursor, which keeps its
// memory in use. Nothing may be appended later.
func (l *Log) ReleaseBudget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.releasing = true
	l.releaseUnread()
}

// releaseUnread releases the budget if ReleaseBudget was called and no cursor is left.
func (l *Log) releaseUnread() {
	if l.releasing && len(l.cursors) == 0 {
		l.releaseCaptured()
		l.releaseRecording()
		l.account.add(l.oldest.charge - l.end.charge)
		l.account.close()
		l.account = nil
	}
}

// evictOldest evicts the oldest entry, which ends at end.
func (l *Log) evictOldest(end position) {
	e := l.entries.at(0)
	if e.kind != Event {
		l.counts.Lost += l.lost(e.at.seq, end.seq)
		if l.tails != nil {
			l.account.add(l.tails[e.kind].add(e.data, e.truncated))
		}
	} else {
		l.rememberEvicted(e.at)
	}
	l.account.add(l.oldest.charge - end.charge)
	l.oldest = end
	e.segment.release()
	l.entries.pop()
	l.base++
	if end.seq > l.shown { // before it was saved
		l.saver.show(end)
	}
}

// lost returns how much of the output between two positions is lost with its eviction: no cursor has
// read it, and the source does not have it.
func (l *Log) lost(from, to int64) int64 {
	from = max(from, l.furthestRead)
	lost := max(0, to-from)
	if v := l.saver; v != nil {
		lost -= max(0, min(to, v.stored.seq)-max(from, v.removed.Seq))
	}
	return lost
}

// eventRun is a run of evicted events without output between them.
type eventRun struct {
	seq    int64 // position of the first event
	before int64 // events before it
}

// rememberEvicted records the position of an evicted event.
func (l *Log) rememberEvicted(at position) {
	if n := len(l.evicted); n > 0 {
		last := l.evicted[n-1]
		if at.seq-last.seq == at.events-last.before {
			return
		}
	}
	if len(l.evicted) == maxEventRuns {
		l.evicted = slices.Delete(l.evicted, 0, maxEventRuns/2)
	}
	l.evicted = append(l.evicted, eventRun{at.seq, at.events})
}

// eventsBefore counts the events before seq, which is before the oldest position. Before the first
// remembered run it returns an upper bound.
func (l *Log) eventsBefore(seq int64) int64 {
	i := sort.Search(len(l.evicted), func(i int) bool { return l.evicted[i].seq > seq })
	next := l.oldest.events // before the next run
	if i < len(l.evicted) {
		next = l.evicted[i].before
	}
	if i == 0 {
		return min(next, seq)
	}
	return min(next, l.evicted[i-1].before+seq-l.evicted[i-1].seq)
}

// announce tells those who wait for it that something was appended. With a saver, the cursors do not
// get it before it is saved.
func (l *Log) announce(kind Kind) {
	if l.saver.active() {
		l.saver.notify()
		return
	}
	l.wakeCursors(kind)
}

// wakeCursors calls CursorOptions.Ready of each waiting cursor that reads the kind, or has to skip
// it because appends wait for the cursor.
func (l *Log) wakeCursors(kind Kind) {
	for _, c := range l.cursors {
		if c.notify && (kind == Event || !c.eventsOnly || c.block) {
			c.notify = false
			c.ready()
		}
	}
}

// find returns the index of the entry that contains the byte or event after seq.
func (l *Log) find(seq int64) int {
	return sort.Search(l.entries.len(), func(i int) bool { return l.entries.at(i).end().seq > seq })
}
