package stream

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestTailOfEachKind checks that output of one kind does not evict the tail of another.
func TestTailOfEachKind(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, keep := range []int64{1, 7, 300, 5000} {
		l := NewLog(LogOptions{Bound: 1000, Keep: keep})
		var want [kinds][]byte
		for i := range 3000 {
			kind := Stdout
			if r.IntN(20) > 0 {
				kind = Stderr
			}
			p := bytes.Repeat([]byte{byte(i)}, 1+r.IntN(400)*r.IntN(2))
			l.Append(Piece{Kind: kind, Data: p})
			want[kind] = append(want[kind], p...)
			for _, n := range []int64{0, 1, keep / 2, keep} {
				for _, k := range []Kind{Stdout, Stderr} {
					got, truncated := l.Tail(k, n)
					w := want[k][max(0, len(want[k])-int(n)):]
					if !bytes.Equal(got, w) || truncated != (len(w) < len(want[k])) {
						t.Fatalf("keep %d, piece %d: Tail(%d) of kind %d has %d bytes, truncated %v", keep, i, n, k, len(got), truncated)
					}
				}
			}
		}
	}
}

// TestTailReportsTruncation checks that it does so for a line that was evicted.
func TestTailReportsTruncation(t *testing.T) {
	l := NewLog(LogOptions{Bound: 1000, Keep: 100})
	l.Append(Piece{Kind: Stdout, Data: []byte("abc"), Marker: Marker, Truncated: true})
	l.Append(Piece{Kind: Stderr, Data: make([]byte, 2000)})
	l.Append(Piece{Kind: Stderr, Data: make([]byte, 2000)})
	if got, truncated := l.Tail(Stdout, 100); string(got) != "abc"+Marker || !truncated {
		t.Errorf("%q, %v", got, truncated)
	}
}

// TestTailIsChargedToTheBudget checks that Evict and ReleaseBudget release what is kept for Tail.
func TestTailIsChargedToTheBudget(t *testing.T) {
	const bound, keep = 1000, 5000
	b := NewBudget(1<<20, func(*Account) {})
	evicted, kept := NewLog(LogOptions{Bound: bound, Keep: keep, Account: b.Open("")}), NewLog(LogOptions{Bound: bound, Keep: keep, Account: b.Open("")})
	for _, l := range []*Log{evicted, kept} {
		for range 100 {
			l.Append(Piece{Kind: Stdout, Data: make([]byte, 200), Sealed: true})
			l.Append(Piece{Kind: Stderr, Data: make([]byte, 200), Sealed: true})
		}
	}
	if used := b.Used(); used < 2*(2*keep+bound/2) || used > 2*(2*keep+2*bound) {
		t.Errorf("%d bytes are used", used)
	}
	evicted.Evict()
	if got, truncated := evicted.Tail(Stdout, keep); len(got) > 200 || !truncated {
		t.Errorf("%d bytes, %v", len(got), truncated)
	}
	if used := b.Used(); used < 2*keep || used > 2*keep+3*bound {
		t.Errorf("%d bytes are used after Evict of one log", used)
	}
	for _, l := range []*Log{evicted, kept} {
		l.ReleaseBudget()
	}
	if b.Used() != 0 {
		t.Errorf("%d bytes are used after ReleaseBudget", b.Used())
	}
}

// TestGapsAreExactAmongManyEvents checks that gaps distinguish output from many evicted events.
func TestGapsAreExactAmongManyEvents(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	l := NewLog(LogOptions{Bound: 1000})
	var before []int64 // events before each position
	events := int64(0)
	for range 3000 {
		for range 1 + r.IntN(4) {
			before = append(before, events)
			events++
			l.AppendEvent(func(int64, Counts) any { return 0 })
		}
		n := r.IntN(3)
		l.Append(Piece{Kind: Stdout, Data: make([]byte, n)})
		for range n {
			before = append(before, events)
		}
	}
	oldest, _ := l.Bounds()
	if oldest < 3000 {
		t.Fatalf("the oldest position is %d", oldest)
	}
	for seq := int64(0); seq < oldest; seq++ {
		c := l.NewCursor(CursorOptions{After: seq})
		it, ok := c.Next()
		c.Close()
		if want := oldest - seq - (before[oldest] - before[seq]); !ok || !it.Gap || it.Lost != want {
			t.Fatalf("from %d to %d: %+v, not %d", seq, oldest, it, want)
		}
	}
}
