package stream

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func put(l *Log, kind Kind, data string) { l.Append(Piece{Kind: kind, Data: []byte(data)}) }

func event(l *Log, what string) int64 { return l.AppendEvent(func(int64, Counts) any { return what }) }

// take reads all items.
func take(c *Cursor) (items []Item) {
	for it, ok := c.Next(); ok; it, ok = c.Next() {
		it.Data = bytes.Clone(it.Data)
		items = append(items, it)
	}
	return items
}

// show formats each item as "0-5 out:hello", followed by its flags.
func show(items []Item) (list []string) {
	for _, it := range items {
		s := fmt.Sprintf("%d-%d ", it.From, it.To)
		switch {
		case it.Gap:
			s += fmt.Sprintf("gap(%d)", it.Lost)
		case it.Kind == Event:
			s += fmt.Sprintf("<%v>", it.Event)
		default:
			s += [...]string{Stdout: "out:", Stderr: "err:", PTY: "pty:"}[it.Kind] + string(it.Data)
		}
		if it.Truncated {
			s += " truncated"
		}
		if it.Dropped > 0 {
			s += fmt.Sprintf(" dropped(%d)", it.Dropped)
		}
		list = append(list, s)
	}
	return list
}

func TestPositionsCountBytesAndEvents(t *testing.T) {
	l := NewLog(LogOptions{Bound: 1 << 20})
	first := event(l, "started")
	put(l, Stdout, "hello")
	put(l, Stderr, "oops")
	second := event(l, "ended")
	if first != 1 || second != 11 {
		t.Errorf("events end at %d and %d", first, second)
	}
	want := []string{"0-1 <started>", "1-6 out:hello", "6-10 err:oops", "10-11 <ended>"}
	if d := cmp.Diff(want, show(take(l.NewCursor(CursorOptions{})))); d != "" {
		t.Error(d)
	}
	if oldest, head := l.Bounds(); oldest != 0 || head != 11 {
		t.Errorf("bounds %d to %d", oldest, head)
	}
}

func TestOnlyPlainOutputOfOneKindIsJoined(t *testing.T) {
	l := NewLog(LogOptions{Bound: 1 << 20})
	for _, p := range []Piece{
		{Kind: Stdout, Data: []byte("a")},
		{Kind: Stdout, Data: []byte("b")},
		{Kind: Stderr, Data: []byte("c")}, // another kind
		{Kind: Stdout, Data: []byte("d")},
		{Kind: Stdout, Data: []byte("e"), Sealed: true}, // may be joined to d, but nothing to it
		{Kind: Stdout, Data: []byte("f")},
		{Kind: Stdout, Data: []byte("g"), Marker: "...", Truncated: true},
		{Kind: Stdout, Data: []byte("\n"), Dropped: 7},
		{Kind: Stdout, Data: []byte("h")},
		{Kind: Stdout, Dropped: 2}, // only counted
		{Kind: Stdout, Data: []byte("i")},
	} {
		l.Append(p)
	}
	l.Seal()
	put(l, Stdout, "j")
	event(l, "x")
	put(l, Stdout, "k")
	want := []string{
		"0-2 out:ab", "2-3 err:c", "3-5 out:de", "5-10 out:fg... truncated", "10-11 out:\n dropped(7)",
		"11-13 out:hi", "13-14 out:j", "14-15 <x>", "15-16 out:k",
	}
	if d := cmp.Diff(want, show(take(l.NewCursor(CursorOptions{})))); d != "" {
		t.Error(d)
	}
	counts := Counts{TruncatedLines: 1, Dropped: 9}
	counts.Written[Stdout], counts.Written[Stderr] = 11+9, 1
	if d := cmp.Diff(counts, l.Counts()); d != "" {
		t.Error(d)
	}
}

// TestACursorReadsAGrowingEntry checks that data that was read stays the same when the entry grows.
func TestACursorReadsAGrowingEntry(t *testing.T) {
	l := NewLog(LogOptions{Bound: 1 << 20})
	c := l.NewCursor(CursorOptions{})
	var got []Item
	for _, s := range []string{"ab", "c", "", "defg"} {
		put(l, Stdout, s)
		got = append(got, take(c)...)
	}
	want := []string{"0-2 out:ab", "2-3 out:c", "3-7 out:defg"}
	if d := cmp.Diff(want, show(got)); d != "" {
		t.Error(d)
	}
}

func TestManySmallAppendsBecomeFewItems(t *testing.T) {
	const n = 200_000
	l := NewLog(LogOptions{Bound: 1 << 20})
	var want bytes.Buffer
	for i := range n {
		b := []byte{byte('a' + i%26)}
		want.Write(b)
		l.Append(Piece{Kind: Stdout, Data: b})
	}
	items := take(l.NewCursor(CursorOptions{}))
	if joined(items) != want.String() {
		t.Error("the items differ from what was written")
	}
	if most := n/maxSegment + 10; len(items) > most {
		t.Errorf("%d items, want at most %d", len(items), most)
	}
}

// TestMemoryIsBounded checks the bound for entries of all sizes, with a cursor that reads nothing.
func TestMemoryIsBounded(t *testing.T) {
	const bound, most = 256 << 10, 1 << 20
	for name, next := range map[string]func(l *Log, i int){
		"a byte at a time":      func(l *Log, i int) { l.Append(Piece{Kind: Stdout, Data: []byte("x")}) },
		"alternating streams":   func(l *Log, i int) { l.Append(Piece{Kind: Stdout + Kind(i%2), Data: []byte("x")}) },
		"sealed bytes":          func(l *Log, i int) { l.Append(Piece{Kind: Stdout, Data: []byte("x"), Sealed: true}) },
		"half a segment, a bit": func(l *Log, i int) { l.Append(Piece{Kind: Stdout, Data: make([]byte, 1+i%2*(maxSegment-100))}) },
		"events":                func(l *Log, i int) { l.AppendEvent(func(int64, Counts) any { return "x" }) },
	} {
		t.Run(name, func(t *testing.T) {
			before := heap()
			l := NewLog(LogOptions{Bound: bound})
			behind := l.NewCursor(CursorOptions{})
			for i := 0; l.end.charge < 4*bound && i < 4*bound; i++ {
				next(l, i)
			}
			if held := heap() - before; held > most {
				t.Errorf("%d bytes held", held)
			}
			if kept := l.end.charge - l.oldest.charge; kept < bound || kept > bound+MaxPiece+entryOverhead {
				t.Errorf("%d charged bytes kept", kept)
			}
			runtime.KeepAlive(behind)
			runtime.KeepAlive(l)
		})
	}
}

// TestTheChargeIsTheMemory checks that the charge is about the memory in use, for pieces of all
// sizes.
func TestTheChargeIsTheMemory(t *testing.T) {
	const logs, bound = 8, 1 << 20
	for _, size := range []int{1, 10, 100, 1000, 5000, 8300, 11000, 16400, 20000, 33000, 50000, MaxPiece} {
		for _, small := range []int{size, 1} { // alternately
			b := NewBudget(math.MaxInt64, func(*Account) {})
			var all [logs]*Log
			before := heap()
			for i := range all {
				all[i] = NewLog(LogOptions{Bound: bound, Account: b.Open("")})
				for n := 0; all[i].end.charge < 3*bound; n++ {
					data := make([]byte, []int{size, small}[n%2])
					all[i].Append(Piece{Kind: Stdout, Data: data, Sealed: true})
				}
			}
			if held := heap() - before; held > b.Used()*13/10 {
				t.Errorf("pieces of %d and %d bytes take %d bytes, charged are %d", size, small, held, b.Used())
			}
			runtime.KeepAlive(&all)
		}
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestLostCountsUnreadOutput checks that Lost counts only output that no cursor had read when it
// was evicted.
func TestLostCountsUnreadOutput(t *testing.T) {
	const bound = 1000
	page := func(l *Log) { l.Append(Piece{Kind: Stdout, Data: make([]byte, bound), Sealed: true}) }
	for _, c := range []struct {
		name string
		do   func(l *Log)
		want int64
	}{
		{"nothing evicted", func(l *Log) { page(l) }, 0},
		{"no cursor", func(l *Log) { page(l); page(l) }, bound},
		{"events are not counted", func(l *Log) { event(l, "a"); page(l); page(l) }, bound},
		{"all read", func(l *Log) {
			page(l)
			take(l.NewCursor(CursorOptions{}))
			page(l)
		}, 0},
		{"read by one of two", func(l *Log) {
			l.NewCursor(CursorOptions{})
			c := l.NewCursor(CursorOptions{})
			page(l)
			take(c)
			page(l)
		}, 0},
		{"skipped, not read", func(l *Log) {
			c := l.NewCursor(CursorOptions{EventsOnly: true})
			page(l)
			take(c)
			page(l)
		}, bound},
		{"read in part", func(l *Log) {
			c := l.NewCursor(CursorOptions{})
			put(l, Stdout, string(make([]byte, 300)))
			take(c)
			put(l, Stdout, string(make([]byte, bound-300)))
			l.Seal()
			page(l)
			page(l)
		}, 2*bound - 300},
		{"in a gap", func(l *Log) {
			c := l.NewCursor(CursorOptions{})
			page(l)
			page(l)
			take(c)
			page(l)
		}, bound},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := NewLog(LogOptions{Bound: bound})
			c.do(l)
			if got := l.Counts().Lost; got != c.want {
				t.Errorf("lost %d bytes, want %d", got, c.want)
			}
		})
	}
}

func TestTail(t *testing.T) {
	type tail struct {
		Data      string
		Truncated bool
	}
	for _, c := range []struct {
		name   string
		pieces []Piece
		n      int64
		want   tail
	}{
		{"nothing", nil, 10, tail{"", false}},
		{"all", []Piece{{Kind: Stdout, Data: []byte("hello")}}, 5, tail{"hello", false}},
		{"more room than output", []Piece{{Kind: Stdout, Data: []byte("hello")}}, 1 << 40, tail{"hello", false}},
		{"the newest", []Piece{{Kind: Stdout, Data: []byte("hello")}}, 4, tail{"ello", true}},
		{"none", []Piece{{Kind: Stdout, Data: []byte("hello")}}, 0, tail{"", true}},
		{"across entries and the other stream", []Piece{
			{Kind: Stdout, Data: []byte("abc"), Sealed: true},
			{Kind: Stderr, Data: []byte("xyz")},
			{Kind: Stdout, Data: []byte("de")},
		}, 4, tail{"bcde", true}},
		{"only the other stream", []Piece{{Kind: Stderr, Data: []byte("xyz")}}, 4, tail{"", false}},
		{"some was evicted", []Piece{
			{Kind: Stdout, Data: []byte("gone"), Sealed: true},
			{Kind: Stderr, Data: make([]byte, 1000)},
			{Kind: Stdout, Data: []byte("here")},
		}, 100, tail{"here", true}},
		{"a truncated line", []Piece{
			{Kind: Stdout, Data: []byte("abc"), Marker: Marker, Truncated: true},
			{Kind: Stdout, Data: []byte("\n"), Dropped: 9, Sealed: true},
		}, 100, tail{"abc...\n", true}},
		{"a truncated line before it", []Piece{
			{Kind: Stdout, Data: []byte("abc"), Marker: Marker, Truncated: true},
			{Kind: Stdout, Data: []byte("\n"), Dropped: 9, Sealed: true},
			{Kind: Stdout, Data: []byte("de")},
		}, 2, tail{"de", true}},
		{"only a marker before it", []Piece{
			{Kind: Stdout, Marker: Marker, Truncated: true},
			{Kind: Stdout, Data: []byte("\n"), Dropped: 3, Sealed: true},
		}, 1, tail{"\n", true}},
		{"a truncated line of the other stream", []Piece{
			{Kind: Stderr, Data: []byte("abc"), Marker: Marker, Truncated: true},
			{Kind: Stderr, Data: []byte("\n"), Dropped: 9000, Sealed: true},
			{Kind: Stdout, Data: []byte("hello")},
		}, 4, tail{"ello", true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := NewLog(LogOptions{Bound: 500})
			for _, p := range c.pieces {
				l.Append(p)
			}
			event(l, "x")
			data, truncated := l.Tail(Stdout, c.n)
			if d := cmp.Diff(c.want, tail{string(data), truncated}); d != "" {
				t.Error(d)
			}
		})
	}
}
