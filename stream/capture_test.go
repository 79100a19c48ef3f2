package stream

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestCapture compares Head and Tail with what was written, also after eviction, and checks that
// they do not overlap.
func TestCapture(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, bounds := range [][2]int64{{1, 1}, {10, 300}, {300, 0}, {5000, 5000}, {20000, 7}, {0, 100}} {
		oldest, newest := bounds[0], bounds[1]
		l := NewLog(LogOptions{Bound: 1000, Keep: newest, KeepHead: oldest})
		var want [kinds][]byte
		for range 2000 {
			kind := Stdout
			if r.IntN(20) == 0 {
				kind = Stderr
			}
			p := []byte(strings.Repeat("é", r.IntN(40)*r.IntN(2)) + "x\n"[:1+r.IntN(2)])
			l.Append(Piece{Kind: kind, Data: p})
			want[kind] = append(want[kind], p...)
			if r.IntN(10) > 0 {
				continue
			}
			c := l.Capture(oldest, newest)
			if _, end := l.Bounds(); c.Seq != end {
				t.Fatalf("Seq is %d, the log ends at %d", c.Seq, end)
			}
			for _, kind := range []Kind{Stdout, Stderr} {
				checkEnds(t, c.Of[kind], want[kind], oldest, newest)
			}
		}
	}
}

func checkEnds(t *testing.T, e Ends, all []byte, oldest, newest int64) {
	t.Helper()
	head, tail := len(e.Head), len(e.Tail)
	if !bytes.HasPrefix(all, e.Head) || !bytes.HasSuffix(all, e.Tail) || int64(head) > oldest || int64(tail) > newest {
		t.Fatalf("%d and %d bytes of %d: %q, %q", oldest, newest, len(all), e.Head, e.Tail)
	}
	between := all[head : len(all)-tail] // panics if they overlap
	if e.Omitted != int64(len(between)) || e.Truncated != (e.Omitted > 0) {
		t.Fatalf("%d bytes of %d are between Head and Tail, omitted %d, truncated %v", len(between), len(all), e.Omitted, e.Truncated)
	}
	switch total := int64(len(all)); {
	case total <= newest && head > 0, total <= oldest+newest && e.Omitted > 0:
		t.Fatalf("%d bytes: %d, %d omitted, %d", total, head, e.Omitted, tail)
	case e.Omitted == 0 || oldest == 0:
		return
	case int64(head) < oldest-maxLineSearch || int64(tail) < newest-maxLineSearch:
		t.Fatalf("only %d and %d bytes captured", head, tail)
	}
	if head > 0 && e.Head[head-1] != '\n' && bytes.IndexByte(all[max(0, oldest-maxLineSearch):oldest], '\n') >= 0 {
		t.Fatalf("the first %d end in %q", oldest, e.Head[max(0, head-20):])
	}
	at := len(all) - tail
	if tail > 0 && all[at-1] != '\n' && bytes.IndexByte(e.Tail[:min(tail-1, maxLineSearch)], '\n') >= 0 {
		t.Fatalf("the last %d begin with %q", newest, e.Tail[:min(20, tail)])
	}
}

// TestCaptureAtLines checks where output is cut.
func TestCaptureAtLines(t *testing.T) {
	line := func(c string, n int) string { return strings.Repeat(c, n-1) + "\n" }
	for _, test := range []struct {
		name, all      string
		oldest, newest int64
		head, tail     string
		omitted        int64
	}{
		{"all in Tail", "a\nb\n", 100, 100, "", "a\nb\n", 0},
		{"nothing", "", 100, 100, "", "", 0},
		{"adjacent, cut after a line", "aa\nbb\ncc\n", 6, 5, "aa\nbb\n", "cc\n", 0},
		{"adjacent, cut exactly at a line", "aa\nbb\ncc\n", 6, 6, "aa\n", "bb\ncc\n", 0},
		{"adjacent, cut in a line", "aabbcc", 3, 3, "aab", "bcc", 0},
		{"adjacent, cut in a character", "ééx", 4, 2, "éé", "x", 0},
		{"adjacent, cut in a character, no room in Head", "éx", 1, 2, "\xc3", "\xa9x", 0},
		{"cut at lines", "aa\nbb\ncc\ndd\n", 4, 5, "aa\n", "dd\n", 6},
		{"Tail is a whole line", "aa\nbb\ncc\ndd\n", 3, 3, "aa\n", "dd\n", 6},
		{"Head ends in a line that is too long", line("x", 10000) + "aa\n", 5000, 4, strings.Repeat("x", 5000), "aa\n", 5000},
		{"Tail is in one line", line("x", 10000), 4, 10, "xxxx", "xxxxxxxxx\n", 9986},
		{"no Tail", "aa\nbb\n", 4, 0, "aa\n", "", 3},
		{"no Tail, all in Head", "aa\nbb", 5, 0, "aa\nbb", "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := NewLog(LogOptions{Bound: 100, Keep: test.newest, KeepHead: test.oldest})
			for all := test.all; all != ""; all = all[min(7, len(all)):] {
				l.Append(Piece{Kind: PTY, Data: []byte(all[:min(7, len(all))])})
			}
			e := l.Capture(test.oldest, test.newest).Of[PTY]
			if string(e.Head) != test.head || string(e.Tail) != test.tail || e.Omitted != test.omitted || e.Truncated != (test.omitted > 0) {
				t.Errorf("%.20q (%d), %.20q (%d), %d omitted, truncated %v", e.Head, len(e.Head), e.Tail, len(e.Tail), e.Omitted, e.Truncated)
			}
		})
	}
}

// TestHeadIsChargedToTheBudget checks that Evict releases Head, and that Truncated reports a
// truncated line in it.
func TestHeadIsChargedToTheBudget(t *testing.T) {
	b := NewBudget(1<<20, func(*Account) {})
	l := NewLog(LogOptions{Bound: 1000, KeepHead: 50000, Account: b.Open("")})
	l.Append(Piece{Kind: Stdout, Data: []byte("a"), Marker: Marker, Truncated: true})
	for range 1000 {
		l.Append(Piece{Kind: Stdout, Data: make([]byte, 200), Sealed: true})
	}
	if used := b.Used(); used < 50000 || used > 52000 {
		t.Errorf("%d bytes are used", used)
	}
	if e := l.Capture(50000, 0).Of[Stdout]; len(e.Head) != 50000 || !e.Truncated {
		t.Errorf("%d bytes, %v", len(e.Head), e.Truncated)
	}
	if e := l.Capture(4, 0).Of[Stdout]; string(e.Head) != "a"+Marker || !e.Truncated || e.Omitted != 200000 {
		t.Errorf("%q, %v, %d", e.Head, e.Truncated, e.Omitted)
	}
	others := b.Open("others")
	others.add(1 << 20) // held by other logs
	late := NewLog(LogOptions{Bound: 1000, KeepHead: 50000, Account: b.Open("")})
	for range 100 {
		late.Append(Piece{Kind: Stdout, Data: make([]byte, 200), Sealed: true})
	}
	if e := late.Capture(50000, 0).Of[Stdout]; len(e.Head) != minHead || e.Omitted != 100*200-minHead {
		t.Errorf("the budget is exceeded: %d bytes, %d omitted", len(e.Head), e.Omitted)
	}
	late.ReleaseBudget()
	others.add(-1 << 20)
	l.Evict()
	if e := l.Capture(50000, 100).Of[Stdout]; len(e.Head) != 0 || len(e.Tail) != 100 || e.Omitted != 199904 || b.Used() > 1000 {
		t.Errorf("%d and %d bytes, %d omitted, %d are used", len(e.Head), len(e.Tail), e.Omitted, b.Used())
	}
	l.ReleaseBudget()
	if b.Used() != 0 {
		t.Errorf("%d bytes are used after ReleaseBudget", b.Used())
	}
}
