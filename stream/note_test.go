package stream

import (
	"fmt"
	"testing"
)

// readItems formats what a cursor reads: output, * for an event, ! for a note, ? for a gap, each
// with its end.
func readItems(c *Cursor) (s string) {
	for it, ok := c.Next(); ok; it, ok = c.Next() {
		switch {
		case it.Gap:
			s += fmt.Sprintf("?%d ", it.To)
		case it.Event == "note":
			s += fmt.Sprintf("!%d ", it.To)
		case it.Kind == Event:
			s += fmt.Sprintf("*%d ", it.To)
		default:
			s += fmt.Sprintf("%s%d ", it.Data, it.To)
		}
	}
	return s
}

func TestANoteDoesNotAdvanceThePosition(t *testing.T) {
	l := NewLog(LogOptions{Bound: 1 << 20})
	calls := 0
	waiting := l.NewCursor(CursorOptions{Ready: func() { calls++ }})
	l.AppendEvent(func(int64, Counts) any { return "started" })
	put(l, Stdout, "ab")
	if got := readItems(waiting); got != "*1 ab3 " {
		t.Fatalf("%q", got)
	}
	calls = 0
	l.AppendNote("note")
	if _, head := l.Bounds(); calls != 1 || head != 3 {
		t.Errorf("Ready was called %d times, the end is %d", calls, head)
	}
	if got := readItems(waiting); got != "!3 " {
		t.Errorf("the waiting cursor read %q", got)
	}
	put(l, Stdout, "cd") // would be joined to ab without the note
	l.AppendEvent(func(int64, Counts) any { return "ended" })
	for name, c := range map[string]struct {
		o    CursorOptions
		want string
	}{
		"from the beginning":               {CursorOptions{}, "*1 ab3 !3 cd5 *6 "},
		"from inside the output before it": {CursorOptions{After: 2}, "b3 !3 cd5 *6 "},
		"from its position":                {CursorOptions{After: 3}, "cd5 *6 "},
		"from its position, with Notes":    {CursorOptions{After: 3, Notes: true}, "!3 cd5 *6 "},
		"from after it":                    {CursorOptions{After: 4, Notes: true}, "d5 *6 "},
		"from the end":                     {CursorOptions{After: 6, Notes: true}, ""},
		"events":                           {CursorOptions{EventsOnly: true}, "*1 !3 *6 "},
		"with a window that ends at it":    {CursorOptions{Window: 3}, "*1 ab3 "},
		"from after it, without Notes":     {CursorOptions{After: 5}, "*6 "},
	} {
		if got := readItems(l.NewCursor(c.o)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := readItems(waiting); got != "cd5 *6 " {
		t.Errorf("the waiting cursor then read %q", got)
	}
}

func TestANoteAfterAGap(t *testing.T) {
	l := NewLog(LogOptions{Bound: 200})
	put(l, Stdout, "ab")
	l.AppendNote("note")
	for range 10 {
		put(l, Stdout, "0123456789")
		l.Seal()
	}
	oldest, _ := l.Bounds()
	c := l.NewCursor(CursorOptions{})
	gap, _ := c.Next()
	n, ok := c.Next()
	if !gap.Gap || !ok || n.Event != "note" || n.To != oldest {
		t.Errorf("%+v, then %+v", gap, n)
	}
	if got := readItems(c); len(got) == 0 || got[0] != '0' {
		t.Errorf("%q", got)
	}
}
