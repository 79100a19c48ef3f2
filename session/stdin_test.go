//go:build linux

package session

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runnel-rpc/runnel/process"
)

func withStdin(o *Spec) { o.Program.Stdin = true }

// write writes and waits for the answer.
func write(t testing.TB, s *Session, data string) *Write {
	t.Helper()
	w := s.Write([]byte(data), nil, nil, false)
	within(t, "a write", w.Done)
	return w
}

func answered(w *Write) bool {
	select {
	case <-w.Done:
		return true
	default:
		return false
	}
}

// refused checks that a write is refused with a StdinError that contains why.
func refused(t testing.TB, w *Write, why string) {
	t.Helper()
	within(t, "the refusal", w.Done)
	var e *StdinError
	if !errors.As(w.Err, &e) || !strings.Contains(e.Why, why) {
		t.Errorf("got %v, want %q", w.Err, why)
	}
}

// fill writes until a write has to wait, and returns that write. The process must not read.
func fill(t testing.TB, s *Session) *Write {
	t.Helper()
	for {
		w := s.Write(make([]byte, 64<<10), nil, nil, false)
		if !answered(w) && !poll(patience/100, func() bool { return answered(w) }) {
			return w
		}
		if w.Err != nil || w.Total > 8<<20 {
			t.Fatalf("%d bytes accepted, %v", w.Total, w.Err)
		}
	}
}

// TestWritesKeepTheirOrder checks that Total is the position of the data with concurrent writes.
func TestWritesKeepTheirOrder(t *testing.T) {
	s := run(t, "exec cat", withStdin)
	type chunk struct {
		w    *Write
		data string
	}
	var mu sync.Mutex
	var chunks []chunk
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			last := int64(0)
			for j := range 20 {
				c := chunk{data: strings.Repeat(fmt.Sprintf("<%d:%d>", i, j), 1+rand.IntN(300))}
				c.w = s.Write([]byte(c.data), nil, nil, false)
				<-c.w.Done
				if c.w.Err != nil || c.w.Total <= last {
					t.Errorf("%d after %d, %v", c.w.Total, last, c.w.Err)
				}
				last = c.w.Total
				mu.Lock()
				chunks = append(chunks, c)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	total := s.View().StdinBytes
	end := s.Write(nil, nil, nil, true)
	if ended(t, s); end.Err != nil || end.Total != total {
		t.Errorf("eof: %+v", end)
	}
	got := tail(s)
	if int64(len(got)) != total {
		t.Fatalf("the process read %d bytes of %d", len(got), total)
	}
	for _, c := range chunks {
		if got[c.w.Total-int64(len(c.data)):c.w.Total] != c.data {
			t.Fatalf("at %d: other bytes than were written", c.w.Total)
		}
	}
}

func TestStdinQueueIsBounded(t *testing.T) {
	wait, open := gate(t)
	s := run(t, wait+"; exec wc -c", withStdin)
	waits := fill(t, s)
	second := s.Write([]byte("after it"), nil, nil, true)
	s.stdin.mu.Lock()
	queued, total := s.stdin.queued, s.stdin.total
	s.stdin.mu.Unlock()
	if queued > StdinQueueBytes || queued < StdinQueueBytes-64<<10 || total > queued+128<<10 {
		t.Errorf("%d bytes queued of %d accepted", queued, total)
	}
	if answered(second) {
		t.Error("a small write was accepted before a large one")
	}
	open()
	within(t, "the waiting write", waits.Done)
	within(t, "the next", second.Done)
	ended(t, s)
	if waits.Err != nil || second.Err != nil || strings.TrimSpace(tail(s)) != fmt.Sprint(second.Total) {
		t.Errorf("%v, %v; %d written, the process read %s", waits.Err, second.Err, second.Total, tail(s))
	}
}

// TestStdinQueueIsBoundedForSmallWrites checks that each write is charged writeOverhead.
func TestStdinQueueIsBoundedForSmallWrites(t *testing.T) {
	s := run(t, "exec sleep 60", withStdin)
	within(t, "the write that fills the pipe", s.Write(make([]byte, 128<<10), nil, nil, false).Done)
	n := 0
	for n < StdinQueueBytes && answered(s.Write([]byte("x"), nil, nil, false)) {
		n++
	}
	if most := StdinQueueBytes / writeOverhead; n > most || n < most/2 {
		t.Errorf("%d writes of a byte are queued", n)
	}
}

// TestALargeWrite checks that a write that is larger than the queue is accepted when that is empty.
func TestALargeWrite(t *testing.T) {
	wait, open := gate(t)
	s := run(t, wait+"; exec wc -c", withStdin)
	large := s.Write(make([]byte, 2*StdinQueueBytes), nil, nil, false)
	small := s.Write([]byte("x"), nil, nil, true)
	within(t, "the large write", large.Done)
	if answered(small) {
		t.Error("a write was accepted after it")
	}
	open()
	ended(t, s)
	if got := strings.TrimSpace(tail(s)); got != fmt.Sprint(2*StdinQueueBytes+1) || small.Err != nil {
		t.Errorf("the process read %s, %v", got, small.Err)
	}
}

func TestOffsets(t *testing.T) {
	at := func(n int64) *Offset { return &Offset{At: n} }
	s := run(t, "exec cat", withStdin)
	for i, c := range []struct {
		data   string
		offset *Offset
		eof    bool
		total  int64
		err    error
	}{
		{"abc", at(0), false, 3, nil},
		{"abc", at(0), false, 3, nil},   // a retry
		{"abcde", at(0), false, 5, nil}, // its beginning was accepted
		{"f", nil, false, 6, nil},
		{"efg", at(4), false, 7, nil},
		{"bc", at(1), false, 7, nil}, // an old retry
		{"", at(7), false, 7, nil},
		{"", nil, false, 7, nil},
		{"x", at(8), false, 7, &OffsetError{8, 7}},
		{"", at(8), false, 7, &OffsetError{8, 7}},
		{"gh", at(6), true, 8, nil},
		{"gh", at(6), true, 8, nil}, // a retry
		{"h", at(7), false, 8, nil},
		{"", at(8), true, 8, nil},
		{"hi", at(7), false, 8, &StdinError{"eof was written"}},
		{"", nil, true, 8, &StdinError{"eof was written"}},
		{"i", nil, false, 8, &StdinError{"eof was written"}},
		{"i", at(9), false, 8, &OffsetError{9, 8}},
	} {
		w := s.Write([]byte(c.data), nil, c.offset, c.eof)
		within(t, "a write", w.Done)
		if w.Total != c.total || !cmp.Equal(c.err, w.Err) {
			t.Errorf("%d: got %d, %v; want %d, %v", i, w.Total, w.Err, c.total, c.err)
		}
	}
	ended(t, s)
	if got := tail(s); got != "abcdefgh" {
		t.Errorf("the process read %q", got)
	}
	again := s.Write([]byte("fgh"), nil, at(5), true) // accepted completely, so no error even now
	within(t, "a write", again.Done)
	if again.Err != nil || again.Total != 8 {
		t.Errorf("got %d, %v", again.Total, again.Err)
	}
	if v := s.View(); v.StdinBytes != 8 {
		t.Errorf("%d bytes of stdin", v.StdinBytes)
	}
}

func TestClosedStdin(t *testing.T) {
	t.Run("none", func(t *testing.T) {
		refused(t, write(t, run(t, "sleep 60", nil), "x"), `"none"`)
	})
	t.Run("closed by the process", func(t *testing.T) {
		s := run(t, "exec <&-; echo; exec sleep 60", withStdin)
		follow(t, s, cursor).line(0)
		var w *Write // the first write is accepted, but not read
		if !poll(patience, func() bool { w = write(t, s, "x"); return w.Err != nil }) {
			t.Fatal("the write was not refused")
		}
		refused(t, w, "closed it")
	})
	t.Run("closed by the process with a write waiting", func(t *testing.T) {
		wait, open := gate(t)
		s := run(t, wait+"; exec <&-; exec sleep 60", withStdin)
		w := fill(t, s)
		open()
		refused(t, w, "closed it")
	})
	t.Run("ended", func(t *testing.T) {
		s := run(t, "exec sleep 60", withStdin)
		w := fill(t, s)
		s.End(Canceled, nil)
		refused(t, w, "") // the process may have closed it before the session did
		ended(t, s)
		refused(t, write(t, s, "x"), "")
	})
	t.Run("ended before any write", func(t *testing.T) {
		s := run(t, "exit 0", withStdin)
		ended(t, s)
		refused(t, write(t, s, "x"), "has ended")
	})
	t.Run("not started", func(t *testing.T) {
		s := reserve(t, registry(t, Options{}), Spec{ID: "x", Program: process.Spec{Argv: []string{"/nowhere"}, Stdin: true}})
		w := s.Write([]byte("x"), nil, nil, false)
		if answered(w) {
			t.Error("answered before the start")
		}
		_ = s.Start()
		refused(t, w, "did not start")
	})
}

func TestWriteBeforeTheStart(t *testing.T) {
	spec := sh("x", "exec cat")
	withStdin(&spec)
	s := reserve(t, registry(t, Options{}), spec)
	first, second := s.Write([]byte("ab"), nil, nil, false), s.Write([]byte("c"), nil, nil, true)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	ended(t, s)
	if got := tail(s); got != "abc" || first.Total != 2 || second.Total != 3 {
		t.Errorf("%q, %d, %d", got, first.Total, second.Total)
	}
}

func TestWithdraw(t *testing.T) {
	wait, open := gate(t)
	s := run(t, wait+"; exec wc -c", withStdin)
	waits := fill(t, s)
	total := s.View().StdinBytes
	next := s.Write(nil, nil, nil, true)
	if answered(next) {
		t.Error("it was accepted before the waiting write")
	}
	if !s.Withdraw(waits) || s.Withdraw(waits) {
		t.Error("Withdraw did not succeed exactly once")
	}
	within(t, "the next", next.Done)
	if s.Withdraw(next) {
		t.Error("an accepted write was withdrawn")
	}
	open()
	ended(t, s)
	if got := strings.TrimSpace(tail(s)); got != fmt.Sprint(total) || answered(waits) || next.Err != nil {
		t.Errorf("the process read %s of %d; %v", got, total, next.Err)
	}
}

// TestInputIsRecycled: once, when it was written. What was withdrawn, refused, or is being written
// when the session ends, is not: its memory may still be in use.
func TestInputIsRecycled(t *testing.T) {
	wait, open := gate(t)
	s := run(t, wait+"; cat >/dev/null", withStdin)
	recycled := make(chan string, 10)
	submit := func(name string, n int) *Write {
		return s.Write(make([]byte, n), func() { recycled <- name }, nil, false)
	}
	first := submit("first", 2*StdinQueueBytes) // more than the pipe has room for
	second, third := submit("second", 10), submit("third", 10)
	within(t, "the first", first.Done)
	if !s.Withdraw(third) {
		t.Error("the third was accepted")
	}
	select {
	case name := <-recycled:
		t.Errorf("%s was recycled before it was written", name)
	default:
	}
	open()
	within(t, "the second", second.Done)
	for _, want := range []string{"first", "second"} {
		if got := <-recycled; got != want {
			t.Errorf("%s was recycled, want %s", got, want)
		}
	}

	stopped := run(t, "exec sleep 60", withStdin)
	stopped.Write(make([]byte, StdinQueueBytes), func() { recycled <- "being written" }, nil, false)
	refused := stopped.Write(make([]byte, StdinQueueBytes), func() { recycled <- "refused" }, nil, false)
	stopped.Cancel(new(time.Duration), 0)
	within(t, "the refusal", refused.Done)
	ended(t, stopped)
	if len(recycled) > 0 {
		t.Errorf("%s was recycled", <-recycled)
	}
}

// TestSkippedInputIsNotKept: of a write that repeats what was accepted, the queue keeps a copy of
// the little that is new, and not all of its memory.
func TestSkippedInputIsNotKept(t *testing.T) {
	wait, open := gate(t)
	s := run(t, wait+"; exec tr -d a", withStdin)
	const half = StdinQueueBytes / 2 // more than the pipe has room for
	first := s.Write(bytes.Repeat([]byte("a"), half), nil, nil, false)
	within(t, "the first", first.Done)
	begin, last := int64(0), int64(half)
	recycled := false
	repeated := append(bytes.Repeat([]byte("a"), half), 'b')
	w := s.Write(repeated, func() { recycled = true; clear(repeated) }, &Offset{At: begin}, false)
	within(t, "the repeated", w.Done)
	if !recycled || w.Total != half+1 {
		t.Errorf("recycled: %v, %d bytes were accepted", recycled, w.Total)
	}
	next := s.Write([]byte("bcd"), func() {}, &Offset{At: last}, true) // most of it is new
	within(t, "the next", next.Done)
	open()
	ended(t, s)
	if got := tail(s); got != "bcd" {
		t.Errorf("the process read %q besides a", got)
	}
}
