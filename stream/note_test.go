package stream

import (
	"fmt"
	"testing"
)

// took says what a cursor takes: output, * for an event, ! for a note, each with the place behind it.
func took(c *Cursor) (s string) {
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

func TestANoteLiesAtItsPlaceAndTakesNone(t *testing.T) {
	l := NewLog(LogOptions{Bound: 1 << 20})
	woken := 0
	waits := l.NewCursor(CursorOptions{Ready: func() { woken++ }})
	l.AppendEvent(func(int64, Counts) any { return "started" })
	put(l, Stdout, "ab")
	if got := took(waits); got != "*1 ab3 " {
		t.Fatalf("%q", got)
	}
	woken = 0
	l.AppendNote("note")
	if _, head := l.Bounds(); woken != 1 || head != 3 {
		t.Errorf("woken %d times, the end is %d", woken, head)
	}
	if got := took(waits); got != "!3 " {
		t.Errorf("who waited took %q", got)
	}
	put(l, Stdout, "cd") // would be joined to what came before
	l.AppendEvent(func(int64, Counts) any { return "ended" })
	for name, c := range map[string]struct {
		o    CursorOptions
		want string
	}{
		"from the beginning":            {CursorOptions{}, "*1 ab3 !3 cd5 *6 "},
		"from inside what came before":  {CursorOptions{After: 2}, "b3 !3 cd5 *6 "},
		"from its place":                {CursorOptions{After: 3}, "cd5 *6 "},
		"from its place, who takes it":  {CursorOptions{After: 3, Notes: true}, "!3 cd5 *6 "},
		"from behind it":                {CursorOptions{After: 4, Notes: true}, "d5 *6 "},
		"from the end":                  {CursorOptions{After: 6, Notes: true}, ""},
		"events":                        {CursorOptions{EventsOnly: true}, "*1 !3 *6 "},
		"with a window that ends there": {CursorOptions{Window: 3}, "*1 ab3 "},
		"who waited for it":             {CursorOptions{After: 5}, "*6 "},
	} {
		if got := took(l.NewCursor(c.o)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := took(waits); got != "cd5 *6 " {
		t.Errorf("then %q", got)
	}
}

func TestANoteBehindAGap(t *testing.T) {
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
	if got := took(c); len(got) == 0 || got[0] != '0' {
		t.Errorf("%q", got)
	}
}
