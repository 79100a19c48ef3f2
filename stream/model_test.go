package stream

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// model is a log that evicts nothing. FuzzLog compares a log and its cursors with it.
type model struct {
	t    testing.TB
	log  *Log
	free bool

	kind   []byte // of each position
	data   []byte
	events []int64         // positions of the events
	ends   map[int64]Piece // the pieces to whose end nothing is joined, by their end
	cuts   []int64         // the keys of ends, in order
	counts Counts
	sent   int64
	oldest int64

	cursors []*modelCursor
	closed  []*modelCursor // that still have an item
}

type modelCursor struct {
	*Cursor
	at    int64
	late  bool // began before the oldest position, and has not moved
	armed bool
	calls int
	held  Item // the newest item, until it is released
}

// FuzzLog runs a program on a log: each operation is a byte, followed by bytes for its arguments.
func FuzzLog(f *testing.F) {
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		program := make([]byte, 400)
		for i := range program {
			program[i] = byte(rnd.Uint32())
		}
		f.Add(program)
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		next := func() (b int) {
			if len(program) > 0 {
				b, program = int(program[0]), program[1:]
			}
			return b
		}
		program = program[:min(len(program), 512)]
		bound := int64(1+next()) << (next() % 9)
		m := &model{t: t, log: NewLog(LogOptions{Bound: bound}), ends: make(map[int64]Piece)}
		for len(program) > 0 {
			switch op := next(); op % 16 {
			case 0, 1, 2, 3, 4, 5:
				n := next() << (next() % 9)
				if n == 255<<8 {
					n = MaxPiece
				}
				p := Piece{Kind: Stdout + Kind(op/16%2), Data: bytes.Repeat([]byte{byte(len(m.data))}, n)}
				switch op / 32 {
				case 0:
					p.Sealed = true
				case 1:
					p.Data = p.Data[:min(n, MaxPiece-len(Marker))]
					p.Marker, p.Truncated = Marker, true
				case 2:
					p.Dropped = int64(next())
				case 3, 4: // the buffer of a reader
					if n > 0 {
						p.segment = newSegment(n)
						p.Data = p.segment.append(p.Data, "")
					}
				}
				m.append(p)
			case 6:
				m.event()
			case 7:
				m.log.Seal()
				m.cut(Piece{Sealed: true})
			case 8, 9:
				if len(m.cursors) < 8 {
					m.attach(next()*next(), op&16 != 0, op/32 == 0)
				}
			case 10:
				if n := len(m.cursors); n > 0 {
					i := next() % n
					m.cursors[i].Close()
					m.closed = append(m.closed, m.cursors[i])
					m.cursors = append(m.cursors[:i], m.cursors[i+1:]...)
				}
			case 11:
				m.tail(Stdout+Kind(op/16%2), next()*next())
			case 12:
				if next() == 0 {
					m.log.Unblock()
					m.free = true
				}
			case 13:
				if n := len(m.cursors); n > 0 && op&16 != 0 {
					m.release(m.cursors[next()%n])
				} else if n := len(m.closed); n > 0 {
					m.release(m.closed[0])
					m.closed = m.closed[1:]
				}
			default:
				if n := len(m.cursors); n > 0 {
					m.next(m.cursors[next()%n])
				}
			}
			m.checkSegments()
		}
		for _, c := range m.cursors {
			for m.next(c) {
			}
		}
		for _, c := range m.closed {
			m.checkHeld(c)
		}
		if d := cmp.Diff(m.counts, m.log.Counts()); d != "" {
			t.Error(d)
		}
	})
}

func (m *model) head() int64 { return int64(len(m.data)) }

// output counts the bytes of output between two positions.
func (m *model) output(from, to int64) int64 {
	i, _ := slices.BinarySearch(m.events, from)
	j, _ := slices.BinarySearch(m.events, to)
	return max(0, to-from-int64(j-i))
}

// cut records that nothing is joined to what ends here.
func (m *model) cut(p Piece) {
	if n := len(m.cuts); n == 0 || m.cuts[n-1] < m.head() {
		m.cuts = append(m.cuts, m.head())
		m.ends[m.head()] = p
	}
}

func (m *model) append(p Piece) {
	for m.log.full() { // Append would wait
		moved := false
		for _, c := range m.cursors {
			moved = c.block && m.next(c) || moved
		}
		if !moved {
			m.t.Fatalf("the log is full, and no blocking cursor has anything to read: end %+v", m.log.end)
		}
	}
	m.data = append(append(m.data, p.Data...), p.Marker...)
	m.log.Append(p)
	m.kind = append(m.kind, bytes.Repeat([]byte{byte(p.Kind)}, len(m.data)-len(m.kind))...)
	m.counts.Written[p.Kind] += int64(len(p.Data)) + p.Dropped
	m.counts.Dropped += p.Dropped
	if p.Truncated {
		m.counts.TruncatedLines++
	}
	if len(p.Data)+len(p.Marker) > 0 {
		if p.Sealed || p.Truncated || p.Dropped > 0 {
			m.cut(p)
		}
		m.grew(p.Kind)
	}
}

func (m *model) event() {
	if seq := m.log.AppendEvent(func(seq int64, _ Counts) any { return seq }); seq != m.head()+1 {
		m.t.Fatalf("an event ends at %d, want %d", seq, m.head()+1)
	}
	m.events = append(m.events, m.head())
	m.kind, m.data = append(m.kind, byte(Event)), append(m.data, 0)
	m.grew(Event)
}

// grew checks the log after an append.
func (m *model) grew(kind Kind) {
	oldest, head := m.log.Bounds()
	if head != m.head() || oldest < m.oldest {
		m.t.Fatalf("bounds %d to %d, want %d to %d", oldest, head, m.oldest, m.head())
	}
	m.counts.Lost += m.output(max(m.oldest, m.sent), oldest)
	m.oldest = oldest

	l := m.log
	kept, first := l.end.charge-l.oldest.charge, l.entries.at(0).end().charge-l.oldest.charge
	if oldest > 0 && kept < l.bound {
		m.t.Fatalf("%d charged bytes kept of at least %d", kept, l.bound)
	}
	if l.entries.len() > 1 && kept-first >= l.bound && l.slowest() >= l.entries.at(0).end().charge {
		m.t.Fatalf("%d charged bytes kept, the first %d of them needed by no cursor", kept, first)
	}
	if kept > l.bound+maxOverrun+MaxPiece+entryOverhead {
		m.t.Fatalf("%d charged bytes kept", kept)
	}
	for _, c := range m.cursors {
		if c.armed && (kind == Event || !c.eventsOnly) && c.calls != 1 || !c.armed && c.calls > 0 {
			m.t.Fatalf("waiting %v, ready was called %d times", c.armed, c.calls)
		}
		if c.calls > 0 {
			c.armed, c.calls = false, 0
		}
	}
}

func (m *model) attach(after int, block, eventsOnly bool) {
	c := &modelCursor{at: min(int64(after), m.head()), late: int64(after) < m.oldest}
	c.Cursor = m.log.NewCursor(CursorOptions{
		After: int64(after), Block: block, EventsOnly: eventsOnly, Ready: func() { c.calls++ },
	})
	m.cursors = append(m.cursors, c)
}

// checkHeld checks that the item that c holds has not changed, whatever the log has evicted.
func (m *model) checkHeld(c *modelCursor) {
	if it := c.held; it.Data != nil && !bytes.Equal(it.Data, m.data[it.From:it.To]) {
		m.t.Fatalf("the bytes of item %d to %d have changed", it.From, it.To)
	}
}

// release ends the use of the item that c holds.
func (m *model) release(c *modelCursor) {
	m.checkHeld(c)
	c.Release()
	c.held = Item{}
}

// checkSegments compares the references of the segments with what refers to them.
func (m *model) checkSegments() {
	want := make(map[*segment]int32)
	for i := range m.log.entries.len() {
		if e := m.log.entries.at(i); e.segment != nil {
			want[e.segment]++
		}
	}
	for _, all := range [][]*modelCursor{m.cursors, m.closed} {
		for _, c := range all {
			if (c.lent != nil) != (c.held.Data != nil) {
				m.t.Fatalf("a cursor with an item of %d bytes has the segment %p", len(c.held.Data), c.lent)
			} else if c.lent != nil {
				want[c.lent]++
			}
		}
	}
	if s := m.log.segment; s != nil {
		want[s]++
	}
	for s, n := range want {
		if got := s.refs.Load(); got != n {
			m.t.Fatalf("a segment of %d bytes has %d references, want %d", cap(s.data), got, n)
		}
	}
}

// next reads an item with c, and reports whether c moved.
func (m *model) next(c *modelCursor) bool {
	m.checkHeld(c)
	it, ok := c.Next()
	c.held = it
	to := c.Seq()
	moved := to > c.at || ok
	if !ok {
		c.armed = true
		if to != m.head() || !c.eventsOnly && c.at != to || m.output(c.at, to) != to-c.at {
			m.t.Fatalf("a cursor at %d of %d found nothing and is at %d", c.at, m.head(), to)
		}
		c.at, c.late = to, c.late && !moved
		return moved
	}
	if it.To != to || it.To <= it.From || it.From < c.at || !c.eventsOnly && it.From != c.at || m.output(c.at, it.From) != it.From-c.at {
		m.t.Fatalf("an item from %d to %d; the cursor was at %d and is at %d", it.From, it.To, c.at, to)
	}
	late := c.late && it.From == c.at
	c.at, c.late = to, false
	if !c.eventsOnly {
		m.sent = max(m.sent, to)
	}
	end := m.ends[to]
	switch {
	case it.Gap:
		want := Item{From: it.From, To: m.oldest, Gap: true, Lost: m.output(it.From, m.oldest), Late: late}
		if d := cmp.Diff(want, it); d != "" {
			m.t.Fatal(d)
		}
		overrun := m.free && m.log.end.charge-m.log.oldest.charge >= m.log.bound+maxOverrun
		if c.block && !late && !overrun {
			m.t.Fatalf("a blocking cursor lost %d to %d", it.From, it.To)
		}
	case it.Kind == Event:
		if d := cmp.Diff(Item{From: to - 1, To: to, Event: to}, it); d != "" || m.kind[to-1] != byte(Event) {
			m.t.Fatal(d)
		}
	default:
		if !bytes.Equal(it.Data, m.data[it.From:to]) || len(it.Data) > MaxPiece {
			m.t.Fatalf("item %d to %d has the wrong bytes", it.From, to)
		}
		if it.Truncated != end.Truncated || it.Dropped != end.Dropped {
			m.t.Fatalf("item %+v, want the flags of %+v", it, end)
		}
		cut, _ := slices.BinarySearch(m.cuts, it.From+1)
		over := cut < len(m.cuts) && m.cuts[cut] < to
		if over || bytes.Count(m.kind[it.From:to], []byte{byte(it.Kind)}) != len(it.Data) {
			m.t.Fatalf("item %d to %d contains a cut or another kind", it.From, to)
		}
	}
	return true
}

func (m *model) tail(kind Kind, n int) {
	var want []byte
	from := m.head()
	for ; from > m.oldest && len(want) < n; from-- {
		if m.kind[from-1] == byte(kind) {
			want = append(want, m.data[from-1])
		}
	}
	slices.Reverse(want)
	truncated := bytes.IndexByte(m.kind[:from], byte(kind)) >= 0
	for i := len(m.cuts) - 1; i >= 0 && m.cuts[i] > from; i-- {
		p := m.ends[m.cuts[i]]
		truncated = truncated || p.Truncated && p.Kind == kind
	}
	got, cut := m.log.Tail(kind, int64(n))
	if !bytes.Equal(got, want) || cut != truncated {
		m.t.Fatalf("Tail(%d) has %d bytes, truncated %v; want %d, %v", n, len(got), cut, len(want), truncated)
	}
}

// TestLogUnderConcurrentUse checks that concurrent readers agree on what concurrent writers
// appended.
func TestLogUnderConcurrentUse(t *testing.T) {
	const each = 300 << 10 // bytes of each writer
	var blocked []bool
	l := NewLog(LogOptions{Bound: 8 << 10, OnBlocked: func(b bool) { blocked = append(blocked, b) }}) // under the log's lock
	type reader struct {
		c     *Cursor
		block bool
		ready chan struct{}
		got   [kinds]bytes.Buffer
		seen  int64 // position, after gaps too
		lost  int64
		gaps  int64 // events in gaps
	}
	var readers []*reader
	for i := range 6 {
		r := &reader{ready: make(chan struct{}, 1), block: i%2 == 0}
		r.c = l.NewCursor(CursorOptions{Block: r.block, Ready: func() { r.ready <- struct{}{} }})
		readers = append(readers, r)
	}
	var writers, all sync.WaitGroup
	for _, kind := range []Kind{Stdout, Stderr, PTY} {
		writers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(kind), 2))
			for at := 0; at < each; {
				n := min(1+rnd.IntN(1<<rnd.IntN(14)), each-at)
				p := Piece{Kind: kind, Data: written(kind, at, n), Sealed: rnd.IntN(4) == 0}
				if rnd.IntN(4) == 0 { // the buffer of a reader
					p.segment = newSegment(n)
					p.Data = p.segment.append(p.Data, "")
				}
				l.Append(p)
				at += n
				if rnd.IntN(8) == 0 {
					event(l, "x")
				}
			}
		})
	}
	for _, r := range readers {
		all.Go(func() {
			for last := false; !last; {
				it, ok := r.c.Next()
				switch {
				case !ok:
					<-r.ready
					continue
				case it.From != r.seen:
					t.Errorf("an item from %d, want %d", it.From, r.seen)
				case it.Gap:
					r.lost += it.Lost
					r.gaps += it.To - it.From - it.Lost
				case it.Kind == Event:
					last = it.Event == "last"
				default:
					r.got[it.Kind].Write(it.Data)
				}
				r.seen = it.To
			}
		})
	}
	for range 4 { // short-lived cursors
		all.Go(func() {
			for range 200 {
				c := l.NewCursor(CursorOptions{Block: true, After: 1 << 60})
				it, _ := c.Next()
				data := bytes.Clone(it.Data)
				l.Tail(Stdout, 1<<10)
				l.Counts()
				c.Close()
				if !bytes.Equal(it.Data, data) {
					t.Error("the bytes of an item have changed")
				}
				c.Release()
			}
		})
	}
	writers.Wait()
	event(l, "last")
	all.Wait()
	for i, r := range readers {
		total := r.lost
		for _, kind := range []Kind{Stdout, Stderr, PTY} {
			total += int64(r.got[kind].Len())
			if r.block && !bytes.Equal(r.got[kind].Bytes(), written(kind, 0, each)) {
				t.Errorf("reader %d: %d bytes of kind %d, other than what was written", i, r.got[kind].Len(), kind)
			}
		}
		if total != 3*each || r.block && r.lost > 0 {
			t.Errorf("reader %d: %d bytes, %d of them lost", i, total, r.lost)
		}
	}
	checkPairs(t, blocked)
}

// written returns what a writer writes from an offset on.
func written(kind Kind, at, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((at+i)*7>>3) + byte(kind)
	}
	return b
}
