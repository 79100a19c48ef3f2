//go:build linux

package session

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWriters: the offsets of a writer count what it has written, whatever others write meanwhile.
func TestWriters(t *testing.T) {
	a := func(n int64) *Offset { return &Offset{"a", n} }
	b := func(n int64) *Offset { return &Offset{"b", n} }
	s := run(t, "exec cat", withStdin)
	for i, c := range []struct {
		data   string
		offset *Offset
		eof    bool
		total  int64
		err    error
	}{
		{"one", a(0), false, 3, nil},
		{"two", b(0), false, 6, nil},
		{"one", a(0), false, 6, nil}, // a retry
		{"neX", a(1), false, 7, nil}, // its beginning was accepted
		{"x", nil, false, 8, nil},
		{"three", b(3), false, 13, nil},
		{"", b(9), false, 13, &OffsetError{9, 8}},
		{"c", &Offset{"c", 1}, false, 13, &OffsetError{1, 0}},
		{"eexy", &Offset{At: 11}, false, 15, nil}, // the position in all input
		{"end", a(4), true, 18, nil},
		{"end", a(4), true, 18, nil},
		{"z", b(8), false, 18, &StdinError{"eof was written"}},
	} {
		w := s.Write([]byte(c.data), nil, c.offset, c.eof)
		within(t, "a write", w.Done)
		if w.Total != c.total || !cmp.Equal(c.err, w.Err) {
			t.Errorf("%d: got %d, %v; want %d, %v", i, w.Total, w.Err, c.total, c.err)
		}
	}
	ended(t, s)
	if got := tail(s); got != "onetwoXxthreexyend" {
		t.Errorf("the process read %q", got)
	}
}

// TestEOFOfWriters: a retry does not type the eof key of a terminal again.
func TestEOFOfWriters(t *testing.T) {
	s := run(t, "stty -echo; echo ready; cat; echo first; cat", onTerminal)
	shows := func(text string) {
		t.Helper()
		if !poll(patience, func() bool { return strings.HasSuffix(shown(s), text) }) {
			t.Fatalf("the terminal shows %q", shown(s))
		}
	}
	shows("ready\r\n")
	for range 3 {
		w := s.Write(nil, nil, &Offset{"a", 0}, true)
		within(t, "an eof", w.Done)
		shows("first\r\n")
	}
	write(t, s, "x\n")
	shows("first\r\nx\r\n")
	within(t, "an eof", s.Write(nil, nil, &Offset{"b", 0}, true).Done)
	ended(t, s)
}

// TestMaxWriters: the writer that has not written for the longest time is forgotten.
func TestMaxWriters(t *testing.T) {
	s := run(t, "exec cat >/dev/null", withStdin)
	to := func(name string, at int64) error {
		w := s.Write([]byte("x"), nil, &Offset{name, at}, false)
		within(t, "a write", w.Done)
		return w.Err
	}
	for i := range maxWriters {
		if err := to(fmt.Sprint(i), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(to("0", 1), to("new", 0)); err != nil {
		t.Fatal(err)
	}
	if err := to("0", 2); err != nil {
		t.Errorf("a writer that has just written is forgotten: %v", err)
	}
	var gap *OffsetError
	if err := to("1", 1); !errors.As(err, &gap) {
		t.Errorf("the oldest writer is known: %v", err)
	}
	if n := len(s.stdin.writers); n != maxWriters {
		t.Errorf("%d writers", n)
	}
}
