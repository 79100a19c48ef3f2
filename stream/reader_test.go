package stream

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// script is a source that returns a chunk for each read. At an empty chunk it would block, and then
// the read deadline passes, if it is set.
type script struct {
	chunks      [][]byte
	deadlineSet bool
	blocked     bool
}

func (s *script) SetReadDeadline(t time.Time) error { s.deadlineSet = !t.IsZero(); return nil }

func (s *script) TryRead(lend func() []byte) (int, error) { return s.ReadNow(lend) }

func (s *script) ReadNow(lend func() []byte) (int, error) {
	for len(s.chunks) > 0 {
		c := s.chunks[0]
		if len(c) == 0 {
			if s.blocked = !s.blocked; s.blocked {
				return 0, syscall.EAGAIN
			}
			s.chunks = s.chunks[1:]
			if s.deadlineSet {
				return 0, os.ErrDeadlineExceeded
			}
			continue
		}
		n := copy(lend(), c)
		s.chunks[0] = c[n:]
		if len(s.chunks[0]) == 0 {
			s.chunks = s.chunks[1:]
		}
		return n, nil
	}
	return 0, io.EOF
}

// readAll runs a reader over the chunks, and returns the items of a cursor and the counts.
func readAll(t testing.TB, o ReaderOptions, chunks ...[]byte) ([]Item, Counts) {
	t.Helper()
	o.Kind = Stdout
	log := NewLog(LogOptions{Bound: 1 << 30})
	r := NewReader(&script{chunks: slices.Clone(chunks)}, log, o)
	err := r.Run()
	for err == syscall.EAGAIN {
		err = r.Run()
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.buf != nil {
		t.Error("a reader that has ended holds a buffer")
	}
	c := log.NewCursor(CursorOptions{})
	var items []Item
	for {
		it, ok := c.Next()
		if !ok {
			return items, log.Counts()
		}
		if len(it.Data) > MaxPiece {
			t.Fatalf("an item of %d bytes", len(it.Data))
		}
		it.Data = bytes.Clone(it.Data)
		items = append(items, it)
	}
}

func joined(items []Item) string {
	var b strings.Builder
	for _, it := range items {
		b.Write(it.Data)
	}
	return b.String()
}

// truncated is the reference implementation of truncation as docs/protocol.md describes it.
func truncated(in []byte, bound int) string {
	var out strings.Builder
	for _, line := range bytes.SplitAfter(in, []byte("\n")) {
		body, nl := bytes.CutSuffix(line, []byte("\n"))
		if len(body) <= bound {
			out.Write(line)
			continue
		}
		out.Write(body[:characterBoundary(body, bound)])
		out.WriteString(Marker)
		if nl {
			out.WriteString("\n")
		}
	}
	return out.String()
}

func TestLongLinesAtEveryLimitAndOffset(t *testing.T) {
	for _, bound := range []int{1, 2, 7, 10, 64} {
		for _, length := range []int{bound - 1, bound, bound + 1, 3*bound + 1} {
			for _, nl := range []string{"", "\n", "\nnext\n"} {
				in := []byte(strings.Repeat("x", length) + nl)
				for cut := 0; cut <= len(in); cut++ {
					for _, pause := range []bool{false, true} {
						chunks := [][]byte{in[:cut], in[cut:]}
						if pause {
							chunks = [][]byte{in[:cut], nil, in[cut:]}
						}
						name := fmt.Sprintf("bound %d length %d nl %q cut %d pause %v", bound, length, nl, cut, pause)
						items, counts := readAll(t, ReaderOptions{MaxLine: int64(bound)}, chunks...)
						if got, want := joined(items), truncated(in, bound); got != want {
							t.Fatalf("%s: got %q, want %q", name, got, want)
						}
						if counts.Written[Stdout] != int64(len(in)) {
							t.Fatalf("%s: %d bytes counted, %d written", name, counts.Written[Stdout], len(in))
						}
						items, _ = readAll(t, ReaderOptions{MaxLine: int64(bound), Split: true}, chunks...)
						if got := joined(items); got != string(in) {
							t.Fatalf("%s: split gave %q", name, got)
						}
					}
				}
			}
		}
	}
}

func TestTruncatedLineIsMarked(t *testing.T) {
	items, counts := readAll(t, ReaderOptions{MaxLine: 4}, []byte("ab\nabcdefg\nnext\n"))
	want := []Item{
		{From: 0, To: 10, Kind: Stdout, Data: []byte("ab\nabcd..."), Truncated: true},
		{From: 10, To: 11, Kind: Stdout, Data: []byte("\n"), Dropped: 3},
		{From: 11, To: 16, Kind: Stdout, Data: []byte("next\n")},
	}
	if d := cmp.Diff(want, items); d != "" {
		t.Error(d)
	}
	if counts.TruncatedLines != 1 || counts.Dropped != 3 {
		t.Errorf("counts %+v", counts)
	}
}

func TestSplitPiecesAreNotJoined(t *testing.T) {
	items, _ := readAll(t, ReaderOptions{MaxLine: 4, Split: true}, []byte("abcdefghij\nx\n"))
	var got []string
	for _, it := range items {
		got = append(got, string(it.Data))
	}
	if d := cmp.Diff([]string{"abcd", "efgh", "ij\nx\n"}, got); d != "" {
		t.Error(d)
	}
}

func TestALongLineTakesNoMemory(t *testing.T) {
	for _, bound := range []int64{1000, DefaultMaxLine, 8 << 20} {
		for _, split := range []bool{false, true} {
			log := NewLog(LogOptions{Bound: 64 << 10})
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			r := NewReader(&zeros{left: 100 << 20}, log, ReaderOptions{Kind: Stdout, MaxLine: bound, Split: split})
			if err := r.Run(); err != nil {
				t.Fatal(err)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
				t.Errorf("limit %d split %v: %d bytes in use after a line of 100 MB", bound, split, grown)
			}
			c := log.Counts()
			if c.Written[Stdout] != 100<<20 {
				t.Errorf("bound %d split %v: %d bytes counted", bound, split, c.Written[Stdout])
			}
			if !split && c.Dropped != 100<<20-bound {
				t.Errorf("bound %d: %d bytes dropped", bound, c.Dropped)
			}
			runtime.KeepAlive(log)
		}
	}
}

type zeros struct {
	script
	left int
}

func (z *zeros) ReadNow(lend func() []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	b := lend()
	n := min(len(b), z.left)
	clear(b[:n])
	z.left -= n
	return n, nil
}

func TestCharactersAreNotCut(t *testing.T) {
	in := []byte("aé€😀\nxx😀yy")
	for _, raw := range []bool{false, true} {
		for cut := range len(in) + 1 {
			items, _ := readAll(t, ReaderOptions{Raw: raw}, bytes.Clone(in[:cut]), nil, bytes.Clone(in[cut:]))
			if joined(items) != string(in) {
				t.Fatalf("cut %d: %q", cut, joined(items))
			}
			for _, it := range items {
				if !utf8.Valid(it.Data) {
					t.Fatalf("raw %v cut %d: piece %q", raw, cut, it.Data)
				}
			}
		}
	}
}

func TestAPartialLineIsAppendedAfterItsDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &pipeSource{feed: make(chan []byte)}
		log := NewLog(LogOptions{Bound: 1 << 20})
		done := make(chan error)
		go func() { done <- NewReader(src, log, ReaderOptions{Kind: Stdout}).Run() }()
		end := func() int64 { _, e := log.Bounds(); return e }
		step := func(feed string, after time.Duration, want int64) {
			t.Helper()
			if feed != "" {
				src.feed <- []byte(feed)
			}
			time.Sleep(after)
			synctest.Wait()
			if got := end(); got != want {
				t.Fatalf("after %q and %v: %d bytes in the log, want %d", feed, after, got, want)
			}
		}
		step("prompt> ", 99*time.Millisecond, 0)
		step("", 2*time.Millisecond, 8)
		step("\xe2\x82", time.Hour, 8)                // an incomplete character waits
		step("\xac", 101*time.Millisecond, 11)        // and is appended like any partial line when it is complete
		step("a", 60*time.Millisecond, 11)            // the delay counts from the first byte
		step("b", 41*time.Millisecond, 13)            // that is not appended
		step("line\nrest", 99*time.Millisecond, 13+5) // a whole line is appended at once
		step("", 2*time.Millisecond, 13+5+4)
		close(src.feed)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// pipeSource is a pipe in fake time.
type pipeSource struct {
	feed     chan []byte
	deadline time.Time
}

func (p *pipeSource) SetReadDeadline(t time.Time) error { p.deadline = t; return nil }

func (p *pipeSource) TryRead(func() []byte) (int, error) { return 0, io.EOF }

func (p *pipeSource) ReadNow(lend func() []byte) (int, error) {
	var late <-chan time.Time
	if !p.deadline.IsZero() {
		late = time.After(time.Until(p.deadline))
	}
	select {
	case b, ok := <-p.feed:
		if !ok {
			return 0, io.EOF
		}
		return copy(lend(), b), nil
	case <-late:
		return 0, os.ErrDeadlineExceeded
	}
}

func TestIdleReaderHoldsNoBuffer(t *testing.T) {
	for _, in := range []string{"whole\n", "tail", "tail \xe2\x82"} {
		log := NewLog(LogOptions{Bound: 1 << 20})
		r := NewReader(nil, log, ReaderOptions{Kind: Stdout})
		r.src = &script{}
		r.process(copy(r.lend(), in))
		r.flush()
		if r.buf != nil {
			t.Errorf("after %q the reader holds a buffer", in)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("hello\nworld"), uint64(1), uint16(4), false, false)
	f.Add([]byte("a€\n😀😀\n"), uint64(2), uint16(3), true, false)
	f.Add([]byte("0\n00\xf0\x9f\x98"), uint64(2), uint16(3), true, false)
	f.Add([]byte("\xff\xe2\x82\n\xf0\x9f\n"), uint64(3), uint16(1), false, true)
	f.Fuzz(func(t *testing.T, in []byte, seed uint64, bound uint16, split, raw bool) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var chunks [][]byte
		for rest := in; len(rest) > 0; {
			n := 1 + rnd.IntN(len(rest))
			chunks = append(chunks, bytes.Clone(rest[:n]))
			rest = rest[n:]
			if rnd.IntN(3) == 0 {
				chunks = append(chunks, nil)
			}
		}
		items, counts := readAll(t, ReaderOptions{MaxLine: int64(bound) + 1, Split: split, Raw: raw}, chunks...)
		if counts.Written[Stdout] != int64(len(in)) {
			t.Fatalf("%d bytes counted, %d written", counts.Written[Stdout], len(in))
		}
		got := joined(items)
		if split || raw {
			if got != string(in) {
				t.Fatalf("got %q, want %q", got, in)
			}
		} else if utf8.Valid(in) && got != truncated(in, int(bound)+1) {
			t.Fatalf("got %q, want %q", got, truncated(in, int(bound)+1))
		}
		at := int64(0)
		for i, it := range items {
			if it.From != at || it.To != at+int64(len(it.Data)) {
				t.Fatalf("item %d is at %d to %d, want from %d", i, it.From, it.To, at)
			}
			at = it.To
			if utf8.Valid(in) && !utf8.Valid(it.Data) {
				t.Fatalf("piece %q cuts a character", it.Data)
			}
			for _, line := range bytes.Split(it.Data, []byte("\n")) {
				if !raw && !it.Truncated && len(line) > max(int(bound)+1, utf8.UTFMax) {
					t.Fatalf("a line of %d bytes under a bound of %d", len(line), bound+1)
				}
			}
		}
	})
}
