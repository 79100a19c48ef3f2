package stream

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// memorySource is a source that keeps what a saver stores, from oldest on.
type memorySource struct {
	mu          sync.Mutex
	items       []Item
	oldest, end Mark
}

func (s *memorySource) Bounds() (oldest, end Mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.oldest, s.end
}

func (s *memorySource) Load(seq int64, _ bool, done func(*Loaded, error), _ func()) Load {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.items {
		if it := s.items[i]; it.From <= seq && seq < it.To {
			go done(&Loaded{From: it.From, To: it.To, Items: []Item{it}}, nil)
			return canceled{}
		}
	}
	go done(nil, ErrRemoved)
	return canceled{}
}

type canceled struct{}

func (canceled) Cancel() {}

// store moves what the log has to the source.
func (s *memorySource) store(v *Saver) {
	for {
		it, ok := v.NextUnstored(MaxPiece)
		if !ok {
			break
		}
		it.Data = append([]byte(nil), it.Data...)
		s.mu.Lock()
		s.items = append(s.items, it)
		s.end.Seq = it.To
		if it.Kind == Event {
			s.end.Events++
		}
		s.mu.Unlock()
	}
	v.Stored()
}

// TestCaptureStored compares what is captured of a log whose output has left memory, and of one that was
// opened again, with what was written.
func TestCaptureStored(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, bounds := range [][2]int64{{0, 1}, {0, 300}, {10, 300}, {300, 0}, {5000, 5000}, {20000, 7}, {0, 100000}, {50000, 50000}} {
		oldest, newest := bounds[0], bounds[1]
		src := &memorySource{}
		l := NewLog(LogOptions{Bound: 1000, KeepHead: oldest, Save: &SaveOptions{Wake: func() {}, Source: src}})
		var want [kinds][]byte
		l.AppendEvent(func(int64, Counts) any { return "event" })
		for i := range 2000 {
			kind := Stdout
			if r.IntN(20) == 0 {
				kind = Stderr
			}
			p := []byte(strings.Repeat("é", r.IntN(40)*r.IntN(2)) + "x\n"[:1+r.IntN(2)])
			l.Append(Piece{Kind: kind, Data: p})
			want[kind] = append(want[kind], p...)
			if r.IntN(10) > 0 && i < 1999 {
				continue
			}
			src.store(l.Saver())
			c := l.Capture(oldest, newest)
			if c.Partial {
				c = captureStored(t, l, oldest, newest)
			}
			checkCapture(t, l, &c, &want, oldest, newest)
		}
		state := l.State()
		opened := OpenLog(LogOptions{Bound: 1 << 20, Save: &SaveOptions{Source: src}}, state)
		if !opened.Capture(oldest, newest).Partial {
			t.Fatal("memory has everything of a log that was opened again")
		}
		c := captureStored(t, opened, oldest, newest)
		checkEnds(t, c.Of[Stdout], want[Stdout], oldest, newest)
		checkEnds(t, c.Of[Stderr], want[Stderr], oldest, newest)

		state.Appended = [kinds]int64{} // unknown, as after a crash
		lost := OpenLog(LogOptions{Bound: 1000, Save: &SaveOptions{Source: src}}, state)
		c = captureStored(t, lost, oldest, newest)
		for kind := range c.Of {
			if e := &c.Of[kind]; !strings.HasPrefix(string(want[kind]), string(e.Head)) || !strings.HasSuffix(string(want[kind]), string(e.Tail)) {
				t.Fatalf("%d and %d bytes of a lost session: %q, %q", oldest, newest, e.Head, e.Tail)
			}
		}
	}
}

func captureStored(t *testing.T, l *Log, oldest, newest int64) Capture {
	t.Helper()
	c, err := l.CaptureStored(t.Context(), oldest, newest)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// checkCapture checks what is captured of stdout. What memory has may be divided otherwise than that of the source.
func checkCapture(t *testing.T, l *Log, c *Capture, want *[kinds][]byte, oldest, newest int64) {
	t.Helper()
	e, all := &c.Of[Stdout], want[Stdout]
	if _, end := l.Bounds(); c.Seq != end {
		t.Fatalf("Seq is %d, the log ends at %d", c.Seq, end)
	}
	head, tail := int64(len(e.Head)), int64(len(e.Tail))
	if !bytes.HasPrefix(all, e.Head) || !bytes.HasSuffix(all, e.Tail) || head > oldest || tail > newest ||
		head+e.Omitted+tail != int64(len(all)) || e.Truncated != (e.Omitted > 0) {
		t.Fatalf("%d and %d bytes of %d: %d and %d, %d omitted, truncated %v", oldest, newest, len(all), head, tail, e.Omitted, e.Truncated)
	}
}

// TestCaptureStoredIsVisible checks that it returns nothing that is not saved, and that it ends with its context.
func TestCaptureStoredIsVisible(t *testing.T) {
	src := &memorySource{}
	l := NewLog(LogOptions{Bound: 1000, Save: &SaveOptions{Wake: func() {}, Source: src}})
	l.Append(Piece{Kind: Stdout, Data: []byte("abc")})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(context.DeadlineExceeded)
	if c, err := l.CaptureStored(ctx, 0, 10); err != context.DeadlineExceeded {
		t.Errorf("%+v, %v", c, err)
	}
	src.store(l.Saver())
	if c := captureStored(t, l, 0, 10); string(c.Of[Stdout].Tail) != "abc" {
		t.Errorf("%+v", c)
	}
}
