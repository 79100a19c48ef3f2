package stream

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// savedModel is a log with a saver that forgets nothing. FuzzSaver compares a log, its cursors and
// its source with it.
type savedModel struct {
	model
	source *fakeSource
	notes  []int64
	saved  int64 // what NextUnsaved has returned ends here
	given  int64 // what NextUnstored has returned ends here
	stored int64
	shown  int64
	gone   bool // nothing is saved any more
	failed bool // a load has failed
	idle   bool // Backlog had nothing to do
	wakes  int

	removed int64
	lostTo  int64 // what was removed from the source counts as lost up to here
	reached int64 // the furthest position that a cursor for output has had
	readers []*savedReader
}

type savedReader struct {
	*Cursor
	o        CursorOptions
	at       int64
	notes    int  // of savedModel.notes
	armed    bool // Next has found nothing
	calls    int
	behind   bool // was before the oldest position in memory when it began, and has not reached it
	advanced bool
}

// FuzzSaver runs a program on a log with a saver: each operation is a byte, followed by bytes for
// its arguments.
func FuzzSaver(f *testing.F) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		program := make([]byte, 500)
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
		m := newSavedModel(t, int64(1+next())<<(next()%6))
		for len(program) > 0 {
			m.step(next)
			m.check()
		}
		m.finish()
	})
}

func newSavedModel(t testing.TB, bound int64) *savedModel {
	m := &savedModel{source: &fakeSource{}, idle: true}
	m.t = t
	m.log = NewLog(LogOptions{Bound: bound, Save: &SaveOptions{Source: m.source, Wake: func() { m.wakes++ }}})
	return m
}

// step runs one operation.
func (m *savedModel) step(next func() int) {
	switch op := next(); op % 20 {
	case 0, 1, 2, 3:
		m.put(Stdout+Kind(op/32%2), next()<<(next()%5), op&16 != 0)
	case 4:
		m.event()
	case 5:
		if next() < 40 {
			m.log.AppendNote("note")
			m.notes = append(m.notes, m.head())
		}
	case 6, 7:
		m.save(next()%8, int64(1+next()))
	case 8, 9:
		m.store(next()%8, int64(1+next()))
	case 10:
		if next() < 60 {
			m.log.Saver().Removed(m.source.remove(next() % 8))
			m.removed = m.source.oldest.Seq
		}
	case 11:
		if next() < 6 {
			m.stop()
		} else if next() < 3 {
			m.log.Unblock()
			m.free = true
		}
	case 12, 13:
		m.attach(CursorOptions{
			After: int64(next() * next()), Block: op&32 != 0, EventsOnly: op&64 != 0, Spool: op&128 != 0,
			Window: int64(next() / 128 * 500),
		}, next() > 20)
	case 14:
		m.load(next(), next())
	case 15:
		m.source.revoke(next())
	default:
		m.read(op, next)
	}
}

// read uses a cursor.
func (m *savedModel) read(op int, next func() int) {
	if len(m.readers) == 0 {
		return
	}
	r := m.readers[next()%len(m.readers)]
	switch arg := next(); {
	case op/20 == 11 && arg < 100:
		r.Cursor.Close()
		m.readers = slices.DeleteFunc(m.readers, func(x *savedReader) bool { return x == r })
	case op/20 == 11 || op/20 == 10:
		m.advance(r, r.at+int64(arg))
	case op/20 == 9:
		r.Ack(r.at)
	case op/20 == 8:
		if r.Pending() {
			m.skipped(r)
		} else {
			m.arm(r)
		}
	default:
		for range 1 + arg%8 {
			if !m.take(r, int64(1+arg)) {
				return
			}
		}
	}
}

func (m *savedModel) put(kind Kind, n int, sealed bool) {
	if n == 0 {
		return
	}
	for i := 0; m.log.full(); i++ { // Append would wait
		if i > 1000 {
			m.t.Fatalf("the log is full, and neither a cursor nor the saver moves: end %+v, stored %+v", m.log.end, m.log.saver.stored)
		}
		m.store(4, 1<<20)
		m.load(i, 3)
		for _, r := range m.readers {
			r.Ack(r.at)
			for r.o.Block && m.take(r, MaxPiece) {
			}
		}
	}
	data := make([]byte, n)
	for i := range data {
		data[i] = byte((len(m.data) + i) * 7 >> 3)
	}
	m.log.Append(Piece{Kind: kind, Data: data, Sealed: sealed})
	m.data = append(m.data, data...)
	m.kind = append(m.kind, bytes.Repeat([]byte{byte(kind)}, n)...)
}

func (m *savedModel) event() {
	m.log.AppendEvent(func(seq int64, _ Counts) any { return seq })
	m.events = append(m.events, m.head())
	m.kind, m.data = append(m.kind, byte(Event)), append(m.data, 0)
	if m.head() == 1 {
		m.shown = 1
	}
}

// save saves so many items.
func (m *savedModel) save(items int, n int64) {
	if b := m.log.Saver().Backlog(); b.Unsaved == 0 && !b.Excess {
		m.idle, m.wakes = true, 0
	} else {
		m.idle = false
	}
	from := max(m.saved, m.stored)
	for range items {
		it, ok := m.log.Saver().NextUnsaved(n)
		if !ok {
			break
		}
		if it.Gap {
			m.lostUnsaved(from, &it)
			return
		}
		m.checkContent(&it, from)
		from = it.To
		m.saved = it.To
	}
	m.log.Saver().Saved()
	m.shown = max(m.shown, m.saved)
}

// store stores so many items.
func (m *savedModel) store(items int, n int64) {
	for range items {
		it, ok := m.log.Saver().NextUnstored(n)
		if !ok {
			break
		}
		if it.Gap {
			m.lostUnsaved(m.given, &it)
			return
		}
		m.checkContent(&it, m.given)
		m.source.add(it)
		m.given = it.To
	}
	m.log.Saver().Stored()
	if !m.gone {
		m.stored = m.given
		m.shown = max(m.shown, m.stored)
	}
	m.countLost()
}

// lostUnsaved checks a gap for the saver, which then stops.
func (m *savedModel) lostUnsaved(from int64, it *Item) {
	if !m.free || it.From != from || it.Lost != m.output(it.From, it.To) {
		m.t.Fatalf("the saver at %d got the gap %+v", from, *it)
	}
	m.stop()
}

func (m *savedModel) stop() {
	m.log.Saver().Stop()
	m.gone = true
}

// visible returns the end of what cursors may return.
func (m *savedModel) visible() int64 {
	if m.gone {
		return m.head()
	}
	oldest := m.log.oldest.seq // after an overrun
	return max(m.shown, oldest)
}

func (m *savedModel) attach(o CursorOptions, ready bool) {
	if len(m.readers) == 8 {
		return
	}
	r := &savedReader{o: o, at: min(o.After, m.visible())}
	if ready {
		o.Ready = func() { r.calls++ }
	}
	for r.notes < len(m.notes) && m.notes[r.notes] <= r.at {
		r.notes++
	}
	r.behind = r.at < m.log.oldest.seq
	r.o = o
	r.Cursor = m.log.NewCursor(o)
	m.readers = append(m.readers, r)
}

func (m *savedModel) advance(r *savedReader, to int64) {
	r.Advance(to)
	at := r.Seq()
	if want := max(r.at, min(to, m.visible())); at != want {
		m.t.Fatalf("advanced from %d to %d, want %d", r.at, at, want)
	}
	if at > r.at {
		r.at, r.advanced = at, true
		r.armed, r.calls = false, 0
	}
}

// load ends a load.
func (m *savedModel) load(i, how int) {
	f := m.source.next(i)
	if f == nil {
		return
	}
	switch {
	case how >= 250:
		m.failed = true
		f.done(nil, &UnreadableError{Next: f.seq + int64(how%5*20), Err: errors.New("broken")})
	case how >= 245:
		m.failed = true
		f.done(nil, errors.New("broken"))
	case how >= 240 && f.canceled:
	case how >= 235:
		m.failed = true
		f.finishWithout(how % 3)
	default:
		f.finish(how%3, how/3%6)
	}
}

func (m *savedModel) arm(r *savedReader) {
	if r.armed && r.calls > 1 {
		m.t.Fatalf("ready was called %d times", r.calls)
	}
	r.armed, r.calls = true, 0
	m.skipped(r)
}

// skipped follows a cursor of events over output.
func (m *savedModel) skipped(r *savedReader) {
	to := r.Seq()
	if to < r.at || to > r.at && !r.o.EventsOnly || m.output(r.at, to) != to-r.at || to > m.visible() {
		m.t.Fatalf("a cursor at %d of %d moved to %d", r.at, m.visible(), to)
	}
	r.at = to
}

// take reads an item, at most n bytes of it.
func (m *savedModel) take(r *savedReader, n int64) bool {
	memory := m.log.oldest.seq
	it, ok := r.NextUpTo(n)
	if !ok {
		m.arm(r)
		return false
	}
	r.armed, r.calls = false, 0
	switch {
	case it.Event == "note":
		m.takeNote(r, &it)
		return true
	case it.Gap:
		m.checkGap(r, &it, memory)
		for r.notes < len(m.notes) && m.notes[r.notes] < it.From {
			m.t.Fatalf("the note at %d is missing at %d", m.notes[r.notes], it.From)
		}
	default:
		from := r.at
		if r.o.EventsOnly {
			if it.From < from || m.output(from, it.From) != it.From-from {
				m.t.Fatalf("a cursor at %d skipped events up to %d", from, it.From)
			}
			from = it.From
		}
		m.checkContent(&it, from)
		if int64(len(it.Data)) > max(n, 4) {
			m.t.Fatalf("an item has %d bytes instead of at most %d", len(it.Data), n)
		}
		if r.notes < len(m.notes) && m.notes[r.notes] < it.To && m.notes[r.notes] <= it.From {
			m.t.Fatalf("the note at %d is missing before %d to %d", m.notes[r.notes], it.From, it.To)
		}
	}
	if it.To > m.visible() || it.To != r.Seq() {
		m.t.Fatalf("an item from %d to %d, but only %d is visible, and the cursor is at %d", it.From, it.To, m.visible(), r.Seq())
	}
	r.at = it.To
	if !r.o.EventsOnly {
		m.sent = max(m.sent, r.at)
	}
	return true
}

func (m *savedModel) takeNote(r *savedReader, it *Item) {
	if r.o.EventsOnly {
		m.skipped(r)
	}
	if r.notes == len(m.notes) || it.From != r.at || m.notes[r.notes] > r.at {
		m.t.Fatalf("a note at %d; the cursor is at %d and has %d notes of %v", it.From, r.at, r.notes, m.notes)
	}
	r.notes++
}

// checkContent checks an item that follows from.
func (m *savedModel) checkContent(it *Item, from int64) {
	if it.From != from || it.To <= it.From || it.To > m.head() {
		m.t.Fatalf("an item from %d to %d after %d of %d", it.From, it.To, from, m.head())
	}
	if it.Kind == Event {
		if it.Event != it.To || m.kind[it.From] != byte(Event) {
			m.t.Fatalf("item %+v", *it)
		}
		return
	}
	same := bytes.Equal(it.Data, m.data[it.From:it.To])
	if !same || bytes.Count(m.kind[it.From:it.To], []byte{byte(it.Kind)}) != len(it.Data) {
		m.t.Fatalf("item %d to %d has the wrong bytes", it.From, it.To)
	}
}

// checkGap checks a gap of a cursor: it is exact, and nothing of it can be read.
func (m *savedModel) checkGap(r *savedReader, it *Item, memory int64) {
	if it.From < r.at || r.o.EventsOnly && m.output(r.at, it.From) != it.From-r.at || !r.o.EventsOnly && it.From != r.at ||
		it.To <= it.From || it.To > memory || it.Lost != m.output(it.From, it.To) {
		m.t.Fatalf("the gap %+v of a cursor at %d; %d bytes are missing", *it, r.at, m.output(it.From, it.To))
	}
	if r.o.EventsOnly && it.Lost == it.To-it.From {
		m.t.Fatalf("the gap %+v has no events", *it)
	}
	reads := r.o.Spool || r.o.Block || it.Spool
	oldest, end := m.source.Bounds()
	if reads && !m.failed && it.From >= oldest.Seq && it.From < end.Seq {
		m.t.Fatalf("the gap %+v, but the source has %v to %v", *it, oldest, end)
	}
	if it.Spool && !r.o.Spool && !r.o.Block && !r.behind {
		m.t.Fatalf("the gap %+v of a cursor that had reached the memory", *it)
	}
}

// check checks the log after an operation.
func (m *savedModel) check() {
	l, v := m.log, m.log.saver
	if !m.gone && !m.free && l.oldest.seq > m.stored {
		m.t.Fatalf("evicted up to %d, but only %d is stored", l.oldest.seq, m.stored)
	}
	if m.idle && !m.gone {
		b := v.backlog()
		if work := b.Unsaved > 0 || b.Excess; work && m.wakes != 1 || m.wakes > 1 {
			m.t.Fatalf("wake was called %d times, backlog %+v", m.wakes, b)
		}
	}
	if kept, most := l.end.charge-l.oldest.charge, maxBacklog(l.bound)+maxOverrun+MaxPiece+entryOverhead; kept > most {
		m.t.Fatalf("%d charged bytes kept", kept)
	}
	m.countLost()
	for _, r := range m.readers {
		if r.armed && r.calls > 1 {
			m.t.Fatalf("ready was called %d times", r.calls)
		}
		if !r.closed && r.number >= l.base {
			r.behind = false
		}
	}
}

// countLost counts what was lost by the newest operation. What is before any cursor for output
// counts as read at the latest when that has read something.
func (m *savedModel) countLost() {
	oldest := m.log.oldest.seq
	for _, r := range m.readers {
		if !r.o.EventsOnly {
			m.reached = max(m.reached, r.at)
		}
	}
	if read := m.log.furthestRead; read < m.sent || read > m.reached {
		m.t.Fatalf("read up to %d, want %d to %d", read, m.sent, m.reached)
	}
	m.sent = m.log.furthestRead
	kept := func(from, to int64) int64 { // lost, of what is in neither memory nor source
		return m.output(max(from, m.sent), max(from, m.sent, to))
	}
	evictedFrom, removedFrom := m.oldest, m.lostTo
	m.counts.Lost += kept(max(evictedFrom, m.stored), oldest)
	m.counts.Lost += kept(removedFrom, min(m.removed, oldest))
	m.oldest = oldest
	m.lostTo = max(m.lostTo, min(m.removed, oldest))
	if got := m.log.Counts().Lost; got != m.counts.Lost {
		m.t.Fatalf("%d bytes are lost, want %d: evicted %d, then %d, removed %d, then %d, stored %d, read %d, gone %v", got, m.counts.Lost,
			evictedFrom, oldest, removedFrom, m.removed, m.stored, m.sent, m.gone)
	}
}

// finish lets everything be read, and checks that each cursor reaches the end, and that Ready was
// called for those that wait.
func (m *savedModel) finish() {
	for progress := true; progress; {
		progress = false
		m.save(1000, MaxPiece)
		m.load(0, 3)
		for _, r := range m.readers {
			r.Ack(r.at)
			if r.armed && r.calls == 0 && r.o.Ready != nil {
				continue
			}
			at, notes := r.at, r.notes
			for m.take(r, MaxPiece) {
				r.Ack(r.at)
			}
			progress = progress || r.at != at || r.notes != notes
		}
		progress = progress || len(m.source.loads) > 0
		m.check()
	}
	for _, r := range m.readers {
		end := m.head()
		if r.o.EventsOnly && m.output(r.at, end) == end-r.at {
			end = r.at // output wakes nobody who skips it
		}
		if r.at != end || r.notes != len(m.notes) {
			m.t.Fatalf("a cursor is stuck at %d of %d, with %d notes of %d: %+v", r.at, m.head(), r.notes, len(m.notes), *r.Cursor)
		}
		r.Cursor.Close()
		r.Cursor.Release()
	}
	m.source.checkReleased(m.t)
	if !m.gone {
		m.reopen()
	}
}

// reopen stores the rest, and checks a log that is opened with what the source then has.
func (m *savedModel) reopen() {
	for m.stored < m.head() && !m.gone {
		m.store(1000, MaxPiece)
	}
	if m.gone {
		return
	}
	m.log = OpenLog(LogOptions{Bound: m.log.bound, Save: &SaveOptions{Source: m.source}}, m.log.State())
	m.failed, m.gone = false, true
	m.event()
	m.readers = nil
	for i := range 8 {
		m.attach(CursorOptions{After: m.head() * int64(i) / 8, EventsOnly: i%2 == 1}, true)
	}
	for progress := true; progress; m.load(0, 15) {
		for _, r := range m.readers {
			for m.take(r, 1000) {
			}
		}
		progress = len(m.source.loads) > 0
	}
	for _, r := range m.readers {
		if r.at != m.head() || r.notes != len(m.notes) {
			m.t.Fatalf("a cursor is stuck at %d of %d, with %d notes of %d", r.at, m.head(), r.notes, len(m.notes))
		}
		r.Cursor.Close()
		r.Cursor.Release()
	}
	m.source.checkReleased(m.t)
}
