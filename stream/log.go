package stream

import (
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
	// MaxPiece is the most output in bytes that one [Item] carries.
	MaxPiece = 64 << 10
	// entryOverhead is what an entry is charged besides its bytes, about what it costs in memory.
	entryOverhead = 96
	// overrun is how far, in charged bytes, a log may pass its bound for a cursor that paces: the remains
	// of two pipes, read when the process is dead and must not wait for a client any more, and events.
	overrun = 1 << 20

	// maxGone is of how many runs of events that are gone a log knows the places, for a gap to be exact.
	maxGone = 16 << 10

	// A segment is at least minSegment and at most maxSegment; output of more than maxShared bytes gets one of its own,
	// so what stays empty at the end of a segment is no more than a quarter.
	minSegment = 512
	maxSegment = 32 << 10
	maxShared  = maxSegment / 4
)

// Log keeps the newest output and state events of one process, each at its place: a place counts the bytes
// of output and the events (1 each) before it, so the difference of two places is what lies between them.
//
// A log holds about its bound in bytes, of which it takes entryOverhead for each entry, whoever reads it or not. [Log.Append]
// waits while a cursor that paces is a whole bound behind; without one it never waits, and the oldest
// output makes room. While a budget that it shares is exceeded its bound is minShare. All methods may be
// called concurrently.
type Log struct {
	bound   int64
	blocked func(bool)
	budget  *Budget

	mu      sync.Mutex
	waiting int           // appenders that wait for room
	room    chan struct{} // closed when they are to look again; nil while none waits
	held    int           // who holds appends up
	free    bool          // nobody is waited for any more
	leaving bool          // the budget is left with the last cursor

	entries []entry
	base    int64 // the number of entries[0], counted from the log's beginning
	segment []byte
	shared  int   // how much was put into the last one that was made for more than one piece
	single  bool  // the segment was made for one piece
	head    place // the end of the log
	oldest  place // the beginning of what is kept
	gone    []run // the newest of the events that are gone
	notes   []note
	cursors []*Cursor

	tails  *[kinds]tail // of what left the log; nil where none is kept
	heads  *[kinds]head // what came first; nil where it is not kept
	counts Counts
	given  [kinds]int64 // bytes of output that came in, markers too
	sent   int64        // the furthest place that any cursor with output has reached
}

// place is a place in the log in three measures that grow together.
type place struct {
	seq    int64 // bytes of output, and events
	events int64 // events alone
	charge int64 // bytes of output, and entryOverhead an entry
}

// entry is a run of output of one kind, or one event. Its bytes never change once they are in it; it may
// grow at its end while it is the newest.
type entry struct {
	at        place // where it begins
	kind      Kind
	truncated bool
	sealed    bool // nothing is joined to its end
	dropped   int64
	data      []byte
	event     any
}

func (e *entry) size() int64 {
	if e.kind == Event {
		return 1
	}
	return int64(len(e.data))
}

func (e *entry) end() place {
	p := place{e.at.seq + e.size(), e.at.events, e.at.charge + entryOverhead + int64(len(e.data))}
	if e.kind == Event {
		p.events++
	}
	return p
}

// inside is the place at seq, which lies inside the entry.
func (e *entry) inside(seq int64) place {
	return place{seq, e.at.events, e.at.charge + entryOverhead + seq - e.at.seq}
}

// Counts are sums over the life of a log, in bytes but for TruncatedLines. Written counts what the process
// wrote, by kind, also what truncation dropped. Lost is the output that left the log before any cursor had
// taken it.
type Counts struct {
	Written        [kinds]int64
	TruncatedLines int64
	Dropped        int64
	Lost           int64
}

// Piece is output on its way into the log.
type Piece struct {
	Kind      Kind
	Data      []byte // at most MaxPiece bytes, copied
	Marker    string // stands behind Data and is not the process's own
	Truncated bool   // the line ends here, at its bound, by a marker
	Sealed    bool   // a piece by itself: nothing is joined to its end
	Dropped   int64  // bytes that truncation dropped before Data
}

// LogOptions say what a log keeps.
type LogOptions struct {
	// Bound is how many bytes are kept.
	Bound int64
	// Budget is shared with other logs; nil is none.
	Budget *Budget
	// Keep is of how many of the newest bytes of each kind of output [Log.Tail] has for certain, even when
	// another kind has driven them out of the log.
	Keep int64
	// KeepHead is how many of the oldest bytes of each kind of output [Log.Capture] has, wherever the log begins.
	KeepHead int64
	// Blocked, if not nil, is told when the first appender begins to wait for a cursor and when the last one
	// has ceased to; it is called under the log's lock and must neither block nor call the log.
	Blocked func(bool)
}

// NewLog returns an empty log.
func NewLog(o LogOptions) *Log {
	l := &Log{bound: o.Bound, blocked: o.Blocked, budget: o.Budget}
	if o.Keep > 0 {
		l.tails = new([kinds]tail)
		for kind := range l.tails {
			l.tails[kind].bound = o.Keep
		}
	}
	if o.KeepHead > 0 {
		l.heads = new([kinds]head)
		for kind := range l.heads {
			l.heads[kind].bound = o.KeepHead
		}
	}
	return l
}

// Append puts output at the end of the log. It waits while the slowest pacing cursor is a bound behind.
func (l *Log) Append(p Piece) {
	if l.budget.Exceeded() {
		l.budget.reclaim()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	waited := l.wait()
	l.count(p)
	if len(p.Data)+len(p.Marker) > 0 {
		if !l.join(p) {
			data := l.store(p.Data, p.Marker)
			l.push(entry{kind: p.Kind, data: data, truncated: p.Truncated, sealed: p.Sealed || p.Truncated || p.Dropped > 0, dropped: p.Dropped})
		}
		l.trim(0)
		l.wake(p.Kind)
	}
	if waited {
		l.budget.next()
	}
}

// AppendEvent puts a state event at the end of the log and returns the place behind it. It never waits. The
// event is made, of its place and the sums at it, under the log's lock; nil is none.
func (l *Log) AppendEvent(event func(seq int64, sums Counts) any) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trim(entryOverhead) // what it drives out of the log is lost before it
	seq := l.head.seq + 1
	made := event(seq, l.counts)
	if made == nil {
		return l.head.seq
	}
	l.push(entry{kind: Event, sealed: true, event: made})
	l.wake(Event)
	return seq
}

// note is an event that takes no place: it lies at one.
type note struct {
	seq   int64
	event any
}

// AppendNote puts an event at the end of the log that advances no place: cursors take it behind all that came before, and
// before all that comes after. It stays until the log is gone, so a log has to have few.
func (l *Log) AppendNote(event any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.entries); n > 0 {
		l.entries[n-1].sealed = true
	}
	l.notes = append(l.notes, note{l.head.seq, event})
	l.wake(Event)
}

// Seal keeps what comes next from being joined to what is there.
func (l *Log) Seal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.entries); n > 0 {
		l.entries[n-1].sealed = true
	}
}

// Free ends all waiting: from now on Append waits for no cursor.
func (l *Log) Free() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = true
	l.stir()
}

// Counts returns the sums so far.
func (l *Log) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// Bounds returns the place where what is kept begins and the end of the log.
func (l *Log) Bounds() (oldest, head int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.oldest.seq, l.head.seq
}

// Tail returns a copy of the newest output of one kind, at most n bytes, and whether there was more.
func (l *Log) Tail(kind Kind, n int64) (tail []byte, truncated bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	tail, cut := l.newest(kind, n)
	return tail, cut || int64(len(tail)) < l.given[kind]
}

// newest is a copy of the newest n bytes of one kind, or of all that are there, and whether one of their lines was
// truncated.
func (l *Log) newest(kind Kind, n int64) (tail []byte, cut bool) {
	var have int64
	from := len(l.entries)
	for from > 0 && have < n {
		from--
		if l.entries[from].kind == kind {
			have += int64(len(l.entries[from].data))
		}
	}
	if have < n && l.tails != nil {
		old := &l.tails[kind]
		tail, cut = old.last(n-have), old.cut
	}
	for _, e := range l.entries[from:] {
		if e.kind == kind {
			tail = append(tail, e.data...)
			cut = cut || e.truncated
		}
	}
	return tail[max(0, int64(len(tail))-n):], cut
}

func (l *Log) count(p Piece) {
	l.counts.Written[p.Kind] += int64(len(p.Data)) + p.Dropped
	l.counts.Dropped += p.Dropped
	l.given[p.Kind] += int64(len(p.Data) + len(p.Marker))
	if p.Truncated {
		l.counts.TruncatedLines++
	}
	if l.heads != nil {
		h := &l.heads[p.Kind]
		if l.budget.Exceeded() {
			h.freeze()
		}
		l.budget.add(h.add(p.Data, p.Marker, p.Truncated))
	}
}

// join appends p to the newest entry, if that is of its kind, plain, and lies at the end of the segment.
func (l *Log) join(p Piece) bool {
	if len(l.entries) == 0 || p.Dropped > 0 {
		return false
	}
	e := &l.entries[len(l.entries)-1]
	n := len(p.Data) + len(p.Marker)
	if e.kind != p.Kind || e.sealed || len(e.data)+n > MaxPiece || len(l.segment)+n > cap(l.segment) {
		return false
	}
	l.segment = append(append(l.segment, p.Data...), p.Marker...)
	end := len(l.segment)
	begin := end - n - len(e.data)
	e.data = l.segment[begin:end:end]
	e.truncated, e.sealed = p.Truncated, p.Sealed || p.Truncated
	l.head.seq += int64(n)
	l.head.charge += int64(n)
	l.budget.add(int64(n))
	return true
}

// store copies data into the segment, or a new one, and returns it there. The bytes of a segment are
// written once; cursors read them without the lock.
func (l *Log) store(data []byte, marker string) []byte {
	n := len(data) + len(marker)
	if len(l.segment)+n > cap(l.segment) {
		if !l.single {
			l.shared = len(l.segment)
		}
		l.single = n > maxShared
		l.segment = slices.Grow([]byte(nil), l.segmentSize(n)) // it uses what the allocator gives beyond that
	}
	begin := len(l.segment)
	l.segment = append(append(l.segment, data...), marker...)
	return l.segment[begin:len(l.segment):len(l.segment)]
}

// segmentSize is the size of a new segment for n bytes: as large as they are, or twice what the last one was used for.
func (l *Log) segmentSize(n int) int {
	if n > maxShared {
		return n
	}
	return max(n, min(max(2*l.shared, minSegment), maxSegment))
}

func (l *Log) push(e entry) {
	e.at = l.head
	l.entries = append(l.entries, e)
	l.head = e.end()
	l.budget.add(l.head.charge - e.at.charge)
}

// trim drops the oldest entries that the bound no longer holds, but not what a pacing cursor still needs,
// up to the overrun. More is the charge of what is about to come.
func (l *Log) trim(more int64) {
	share := l.share()
	if l.head.charge+more-l.oldest.charge <= share {
		return
	}
	needed := l.slowest()
	for len(l.entries) > 0 && (more > 0 || len(l.entries) > 1) {
		end := l.entries[0].end()
		kept := l.head.charge + more - end.charge
		if kept < share || end.charge > needed && kept < l.bound+overrun {
			return
		}
		l.dropOldest(end)
		share = l.share()
	}
}

// Shed gives up all but the newest entry and what a pacing cursor still needs, also what is kept for Tail and Capture, and
// reports whether nothing more can be given up. It is for a log to which nothing is appended any more.
func (l *Log) Shed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropEnds()
	needed := l.slowest()
	for len(l.entries) > 1 {
		end := l.entries[0].end()
		if end.charge > needed {
			return false
		}
		l.dropOldest(end)
	}
	return true
}

// dropEnds gives up what is kept for Tail and Capture besides the log.
func (l *Log) dropEnds() {
	if l.tails != nil {
		for kind := range l.tails {
			l.budget.add(-int64(len(l.tails[kind].ring)))
		}
		l.tails = nil
	}
	if l.heads != nil {
		for kind := range l.heads {
			h := &l.heads[kind]
			l.budget.add(-int64(cap(h.data)))
			*h = head{}
		}
	}
}

// Leave takes the log out of its budget, once no cursor keeps it in memory. Nothing is appended any more.
func (l *Log) Leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaving = true
	l.leave()
}

func (l *Log) leave() {
	if l.leaving && len(l.cursors) == 0 {
		l.dropEnds()
		l.budget.add(l.oldest.charge - l.head.charge)
		l.budget = nil
	}
}

// dropOldest drops the oldest entry, which ends at end.
func (l *Log) dropOldest(end place) {
	e := &l.entries[0]
	if e.kind != Event {
		l.counts.Lost += max(0, end.seq-max(e.at.seq, l.sent))
		if l.tails != nil {
			l.budget.add(l.tails[e.kind].add(e.data, e.truncated))
		}
	} else {
		l.forget(e.at)
	}
	l.budget.add(l.oldest.charge - end.charge)
	l.oldest = end
	l.entries[0] = entry{}
	l.entries = l.entries[1:]
	l.base++
}

// run is events that are gone and had no output between them: where the first began, and how many events were
// before it.
type run struct{ seq, before int64 }

// forget notes that the oldest entry, an event, is gone.
func (l *Log) forget(at place) {
	if n := len(l.gone); n > 0 {
		last := l.gone[n-1]
		if at.seq-last.seq == at.events-last.before {
			return
		}
	}
	if len(l.gone) == maxGone {
		l.gone = slices.Delete(l.gone, 0, maxGone/2)
	}
	l.gone = append(l.gone, run{at.seq, at.events})
}

// eventsBefore counts the events before seq, a place that is gone. Before those that it knows of it takes all for
// events that can be.
func (l *Log) eventsBefore(seq int64) int64 {
	i := sort.Search(len(l.gone), func(i int) bool { return l.gone[i].seq > seq })
	next := l.oldest.events // before the next run
	if i < len(l.gone) {
		next = l.gone[i].before
	}
	if i == 0 {
		return min(next, seq)
	}
	return min(next, l.gone[i-1].before+seq-l.gone[i-1].seq)
}

// wake tells every cursor that waits for it that there is something of a kind to take, or to pass over.
func (l *Log) wake(kind Kind) {
	for _, c := range l.cursors {
		if c.armed && (kind == Event || !c.events || c.paces) {
			c.armed = false
			c.ready()
		}
	}
}

// find returns the index of the entry that holds the byte or event after seq.
func (l *Log) find(seq int64) int {
	return sort.Search(len(l.entries), func(i int) bool { return l.entries[i].end().seq > seq })
}
