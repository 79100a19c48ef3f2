package stream

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sample returns a log with all kinds of entries, and its content as a string with '*' for each
// event.
func sample() (*Log, string) {
	l := NewLog(LogOptions{Bound: 1 << 20})
	event(l, "started")
	put(l, Stdout, "hello\n")
	put(l, Stderr, "oops")
	event(l, "paused")
	event(l, "resumed")
	l.Append(Piece{Kind: Stdout, Data: []byte("trunc"), Marker: Marker, Truncated: true})
	l.Append(Piece{Kind: Stdout, Data: []byte("\n"), Dropped: 5, Sealed: true})
	put(l, Stdout, "last")
	return l, "*hello\noops**trunc...\nlast"
}

// flat returns the content of items: output, * for an event, and ? for each position in a gap.
func flat(items []Item) string {
	var b strings.Builder
	for _, it := range items {
		switch {
		case it.Gap:
			b.WriteString(strings.Repeat("?", int(it.To-it.From)))
		case it.Kind == Event:
			b.WriteString("*")
		default:
			b.Write(it.Data)
		}
	}
	return b.String()
}

func TestACursorBeginsAfterAnyPosition(t *testing.T) {
	l, all := sample()
	for after := range len(all) + 3 {
		c := l.NewCursor(CursorOptions{After: int64(after)})
		at := int64(min(after, len(all)))
		if c.Seq() != at {
			t.Errorf("after %d: begins at %d", after, c.Seq())
		}
		items := take(c)
		if got := flat(items); got != all[at:] {
			t.Errorf("after %d: got %q, want %q", after, got, all[at:])
		}
		for _, it := range items {
			if it.From != at {
				t.Errorf("after %d: an item from %d, want %d", after, it.From, at)
			}
			at = it.To
		}
		put(l, PTY, "+") // and then reads what is appended
		if got := flat(take(c)); got != "+" {
			t.Errorf("after %d: the next append gave %q", after, got)
		}
		all += "+"
		c.Close()
	}
}

func TestAGapIsExact(t *testing.T) {
	const bound = 1000
	page := strings.Repeat("x", bound)
	fill := func(l *Log) { // an event, 5 bytes, two events, 1000 bytes; the oldest position is 1008 then
		event(l, "started")
		put(l, Stdout, "hello")
		event(l, "paused")
		event(l, "resumed")
		put(l, Stdout, page)
		put(l, Stderr, page)
	}
	t.Run("of a cursor that was slow", func(t *testing.T) {
		for after := range 9 {
			l := NewLog(LogOptions{Bound: bound})
			c := l.NewCursor(CursorOptions{})
			event(l, "started")
			put(l, Stdout, "hello")
			event(l, "paused")
			event(l, "resumed")
			take(c)
			c.Close()
			c = l.NewCursor(CursorOptions{After: int64(after)})
			put(l, Stdout, page)
			put(l, Stderr, page)
			lost := flatLost("*hello**"+page, after)
			it, _ := c.Next()
			if want := (Item{From: int64(min(after, 8)), To: 1008, Gap: true, Lost: lost}); !cmp.Equal(it, want) {
				t.Errorf("after %d: got %+v, want %+v", after, it, want)
			}
			if rest := flat(take(c)); rest != page {
				t.Errorf("after %d: %d bytes follow", after, len(rest))
			}
		}
	})
	t.Run("of a cursor that began before the oldest position", func(t *testing.T) {
		for after := range 10 {
			l := NewLog(LogOptions{Bound: bound})
			fill(l)
			lost := flatLost("*hello**"+page, after)
			it, _ := l.NewCursor(CursorOptions{After: int64(after)}).Next()
			if want := (Item{From: int64(after), To: 1008, Gap: true, Lost: lost, Late: true}); !cmp.Equal(it, want) {
				t.Errorf("after %d: got %+v, want %+v", after, it, want)
			}
		}
	})
	t.Run("none if nothing is missing", func(t *testing.T) {
		l := NewLog(LogOptions{Bound: bound})
		c := l.NewCursor(CursorOptions{})
		put(l, Stdout, "hello")
		take(c) // it stays on an entry that may grow, which is then evicted
		l.Seal()
		put(l, Stdout, page)
		put(l, Stdout, page)
		it, _ := l.NewCursor(CursorOptions{After: 1005}).Next()
		if it.Gap || it.From != 1005 {
			t.Errorf("at the oldest position: %+v", it)
		}
	})
	t.Run("each loss is reported once", func(t *testing.T) {
		l := NewLog(LogOptions{Bound: bound})
		c := l.NewCursor(CursorOptions{})
		var got, want int64
		for range 5 {
			for range 5 {
				put(l, Stdout, page)
				want += bound
			}
			for _, it := range take(c) {
				got += it.To - it.From
				if !it.Gap && it.Lost != 0 {
					t.Errorf("%+v", it)
				}
			}
		}
		if got != want {
			t.Errorf("items cover %d positions, %d were written", got, want)
		}
	})
}

// TestACursorThatBeginsAtTheEnd checks that it reads what is joined to the newest entry.
func TestACursorThatBeginsAtTheEnd(t *testing.T) {
	l := NewLog(LogOptions{Bound: 1 << 20})
	put(l, Stdout, "before")
	c := l.NewCursor(CursorOptions{After: 6})
	put(l, Stdout, "more")
	event(l, "x")
	put(l, Stdout, "last")
	if d := cmp.Diff([]string{"6-10 out:more", "10-11 <x>", "11-15 out:last"}, show(take(c))); d != "" {
		t.Error(d)
	}
}

// flatLost counts the bytes of output in evicted, a string as of flat, after a position.
func flatLost(evicted string, after int) int64 {
	return int64(len(evicted[after:]) - strings.Count(evicted[after:], "*"))
}

func TestReadyIsCalledOnceForEachFalseNext(t *testing.T) {
	l := NewLog(LogOptions{Bound: 1000})
	calls := 0
	c := l.NewCursor(CursorOptions{Ready: func() { calls++ }})
	want := func(when string, n int) {
		t.Helper()
		if calls != n {
			t.Fatalf("%s: called %d times, want %d", when, calls, n)
		}
	}
	put(l, Stdout, "a")
	want("before Next found nothing", 0)
	take(c)
	want("when Next found nothing", 0)
	l.Append(Piece{Kind: Stdout, Dropped: 3})
	l.Seal()
	want("after an empty append", 0)
	put(l, Stdout, "b")
	want("after the next append", 1)
	put(l, Stdout, "c")
	event(l, "x")
	want("after further appends", 1)
	take(c)
	take(c) // finds nothing twice
	event(l, "y")
	want("after an event", 2)
	take(c)
	c.Close()
	put(l, Stdout, "d")
	want("after Close", 2)
	if _, ok := c.Next(); ok {
		t.Error("Next of a closed cursor returned an item")
	}
	c.Close()
}

// TestACursorWithoutReady checks that the zero CursorOptions can be used.
func TestACursorWithoutReady(t *testing.T) {
	l := NewLog(LogOptions{Bound: 1000})
	c := l.NewCursor(CursorOptions{})
	take(c)
	put(l, Stdout, "a")
	event(l, "x")
	if got := flat(take(c)); got != "a*" {
		t.Errorf("got %q", got)
	}
}

func TestEventsOnly(t *testing.T) {
	l, _ := sample()
	calls := 0
	c := l.NewCursor(CursorOptions{EventsOnly: true, Ready: func() { calls++ }})
	want := []string{"0-1 <started>", "11-12 <paused>", "12-13 <resumed>"}
	if d := cmp.Diff(want, show(take(c))); d != "" {
		t.Error(d)
	}
	if _, head := l.Bounds(); c.Seq() != head {
		t.Errorf("the cursor is at %d of %d", c.Seq(), head)
	}
	put(l, Stdout, "the last entry grows")
	_, head := l.Bounds()
	take(c)
	event(l, "ended")
	if calls == 0 {
		t.Error("Ready was not called for the event")
	}
	if d := cmp.Diff([]Item{{From: head, To: head + 1, Event: "ended"}}, take(c)); d != "" {
		t.Error(d)
	}
}

// TestEventsOnlyHasGapsOnlyForEvents checks that evicted output alone is no gap for a cursor that
// skips output.
func TestEventsOnlyHasGapsOnlyForEvents(t *testing.T) {
	const bound = 1000
	page := func(l *Log) { l.Append(Piece{Kind: Stdout, Data: make([]byte, bound), Sealed: true}) }
	l := NewLog(LogOptions{Bound: bound})
	c := l.NewCursor(CursorOptions{EventsOnly: true})
	for range 5 {
		page(l)
	}
	event(l, "a")
	if d := cmp.Diff([]string{"5000-5001 <a>"}, show(take(c))); d != "" {
		t.Error(d)
	}
	event(l, "b")
	page(l)
	page(l)
	if d := cmp.Diff([]string{"5001-6002 gap(1000)"}, show(take(c))); d != "" {
		t.Error(d)
	}
}
