package stream

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// newSavedLog returns a log with a saver, and its source.
func newSavedLog(bound int64) (*Log, *fakeSource) {
	s := &fakeSource{}
	return NewLog(LogOptions{Bound: bound, Save: &SaveOptions{Source: s, Wake: func() {}}}), s
}

// saveAll saves what was appended.
func saveAll(l *Log) (items []Item) {
	for it, ok := l.Saver().NextUnsaved(MaxPiece); ok; it, ok = l.Saver().NextUnsaved(MaxPiece) {
		it.Data = bytes.Clone(it.Data)
		items = append(items, it)
	}
	l.Saver().Saved()
	return items
}

func TestCursorsReadOnlyWhatWasSaved(t *testing.T) {
	wakes := 0
	l := NewLog(LogOptions{Bound: 1 << 20, Save: &SaveOptions{Wake: func() { wakes++ }}})
	c := l.NewCursor(CursorOptions{})
	event(l, "started")
	if got := show(take(c)); !cmp.Equal(got, []string{"0-1 <started>"}) || wakes != 0 {
		t.Errorf("an event at 0: %v, wakes %d", got, wakes)
	}
	put(l, Stdout, "ab")
	settled := l.Settled(3)
	if got := take(c); len(got) > 0 || c.Pending() || wakes != 1 {
		t.Errorf("before it was saved: %v, wakes %d", show(got), wakes)
	}
	if _, end := l.Bounds(); end != 1 {
		t.Errorf("visible up to %d", end)
	}
	if got := show(saveAll(l)); !cmp.Equal(got, []string{"0-1 <started>", "1-3 out:ab"}) {
		t.Errorf("to be saved: %v", got)
	}
	put(l, Stdout, "cd") // joins what is visible
	select {
	case <-settled:
	default:
		t.Error("3 is not settled")
	}
	if got := show(take(c)); !cmp.Equal(got, []string{"1-3 out:ab"}) || l.Settled(3) != nil {
		t.Errorf("after it was saved: %v", got)
	}
	if got := show(take(l.NewCursor(CursorOptions{After: 1 << 40}))); got != nil {
		t.Errorf("a cursor that began at the end: %v", got)
	}
	l.Saver().Stop()
	l.Saver().Stop()
	if got := show(take(c)); !cmp.Equal(got, []string{"3-5 out:cd"}) || l.Settled(100) != nil {
		t.Errorf("after the saver has stopped: %v", got)
	}
	put(l, Stdout, "ef")
	if it, ok := l.Saver().NextUnsaved(10); ok || l.Saver().Backlog() != (Backlog{}) {
		t.Errorf("a stopped saver got %v", it)
	}
}

// TestAppendWaitsForTheSaver checks that an append waits at two blocks more than the bound, and
// continues when half a block is free, or the saver stops.
func TestAppendWaitsForTheSaver(t *testing.T) {
	for name, release := range map[string]func(*Log, *fakeSource){
		"stored": func(l *Log, s *fakeSource) { s.store(l, 2, MaxPiece) },
		"stop":   func(l *Log, _ *fakeSource) { l.Saver().Stop() },
		"end":    func(l *Log, _ *fakeSource) { l.Unblock() },
	} {
		synctest.Test(t, func(t *testing.T) {
			const bound = 4 * (pageSize + entryOverhead)
			l, s := newSavedLog(bound)
			appended := 0
			go func() {
				for range 13 {
					l.Append(Piece{Kind: Stdout, Data: make([]byte, pageSize), Sealed: true})
					appended++
				}
			}()
			synctest.Wait()
			if appended != 12 || l.appenders != 1 {
				t.Fatalf("%s: %d appended", name, appended)
			}
			if b := l.Saver().Backlog(); !b.Excess {
				t.Fatalf("%s: backlog %+v", name, b)
			}
			if name == "stored" { // not enough
				s.store(l, 1, MaxPiece)
				synctest.Wait()
				if appended != 12 {
					t.Errorf("continued with a quarter of a block")
				}
			}
			release(l, s)
			synctest.Wait()
			if appended != 13 {
				t.Errorf("%s: %d appended", name, appended)
			}
		})
	}
}

// TestOverrunIsBounded checks that a session that has ended evicts what is not stored rather than
// to hold any amount, and that the saver and the cursors learn it.
func TestOverrunIsBounded(t *testing.T) {
	l, _ := newSavedLog(pageSize)
	c := l.NewCursor(CursorOptions{Spool: true})
	l.Unblock()
	for range 3 * maxOverrun / pageSize {
		l.Append(Piece{Kind: Stdout, Data: make([]byte, pageSize), Sealed: true})
	}
	kept := l.end.charge - l.oldest.charge
	if kept > maxBacklog(pageSize)+maxOverrun+2*pageSize || kept < maxOverrun {
		t.Errorf("%d charged bytes are kept", kept)
	}
	want := Item{To: l.oldest.seq, Gap: true, Lost: l.oldest.seq, Spool: true}
	for name, next := range map[string]func(int64) (Item, bool){
		"cursor": c.NextUpTo, "unsaved": l.Saver().NextUnsaved, "unstored": l.Saver().NextUnstored,
	} {
		if got, _ := next(MaxPiece); !cmp.Equal(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if lost := l.Counts().Lost; lost != want.Lost {
		t.Errorf("%d bytes are lost, want %d", lost, want.Lost)
	}
}

func TestUnstoredOutputIsNotEvicted(t *testing.T) {
	l, s := newSavedLog(1 << 20)
	for range 10 {
		l.Append(Piece{Kind: Stdout, Data: make([]byte, pageSize), Sealed: true})
	}
	if l.Evict() {
		t.Error("what is not stored was evicted")
	}
	s.store(l, 4, MaxPiece)
	if l.Evict() || l.oldest.seq != 4*pageSize {
		t.Errorf("evicted up to %d", l.oldest.seq)
	}
	l.Saver().Stop()
	if !l.Evict() || l.oldest.seq != 9*pageSize {
		t.Errorf("evicted up to %d after the saver has stopped", l.oldest.seq)
	}
	c := l.NewCursor(CursorOptions{})
	c.Pending()
	s.next(0).finish(0, 10)
	var got []string
	for _, it := range take(c) {
		it.Data = nil
		got = append(got, show([]Item{it})...)
	}
	want := []string{
		"0-16384 out:", "16384-32768 out:", "32768-49152 out:", "49152-65536 out:", "65536-147456 gap(81920)", "147456-163840 out:",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestLoadedOutputIsReadInTurns checks that output from the source waits for a turn of the owner.
func TestLoadedOutputIsReadInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, one, other := newOwners()
		l := OpenLog(LogOptions{Account: one, Save: &SaveOptions{Source: &fakeSource{
			end: Mark{Seq: 2}, items: []Item{{To: 2, Kind: Stdout, Data: []byte("ab")}},
		}}}, State{End: Mark{Seq: 2}})
		other.activeOwners()
		one.output.reserve(one.budget.now(), int64(time.Millisecond))
		var calls atomic.Int32
		c := l.NewCursor(CursorOptions{Ready: func() { calls.Add(1) }})
		c.Next()
		l.source.(*fakeSource).next(0).finish(0, 1)
		if it, ok := c.Next(); ok || calls.Load() != 1 {
			t.Fatalf("%v before its turn, ready was called %d times", it, calls.Load())
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if it, ok := c.Next(); !ok || calls.Load() != 2 || string(it.Data) != "ab" {
			t.Errorf("%v in its turn, ready was called %d times", it, calls.Load())
		}
		c.Close()
	})
}

func TestTimeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLog(LogOptions{Bound: 1 << 10, Timeline: true})
		begin := time.Now()
		if got := l.PositionAt(begin); got != 0 {
			t.Errorf("an empty log: %d", got)
		}
		for range 100_000 { // one byte each 10 ms
			time.Sleep(10 * time.Millisecond)
			put(l, Stdout, "x")
		}
		event(l, "ended")
		marks := l.Timeline()
		if n := len(marks); n > maxTimeMarks+1 || n < maxTimeMarks/2 {
			t.Errorf("%d marks", n)
		}
		opened := OpenLog(LogOptions{}, l.State())
		for at := int64(0); at < 100_100; at += 77 {
			want := min(at, 100_000)
			got := l.PositionAt(begin.Add(time.Duration(at)*10*time.Millisecond + 1))
			if got > want || got < want-2*100_000/maxTimeMarks*2 {
				t.Fatalf("position %d after %d bytes", got, want)
			}
			if again := opened.PositionAt(begin.Add(time.Duration(at)*10*time.Millisecond + 1)); again != got {
				t.Fatalf("position %d in the opened log, %d in the other", again, got)
			}
		}
	})
}

// TestNextIsWhatAppendEventPasses checks it while the event evicts unread output.
func TestNextIsWhatAppendEventPasses(t *testing.T) {
	l := NewLog(LogOptions{Bound: 2 * (pageSize + entryOverhead)})
	for range 4 {
		l.Append(Piece{Kind: Stdout, Data: make([]byte, pageSize), Sealed: true})
		seq, counts := l.Next()
		l.AppendEvent(func(s int64, c Counts) any {
			if s != seq || c != counts {
				t.Errorf("Next has %d and %+v, the event %d and %+v", seq, counts, s, c)
			}
			return "event"
		})
	}
	if l.Counts().Lost == 0 {
		t.Error("nothing was lost")
	}
}

// TestCaptureStoredRandomly compares it with Capture of a log that has everything in memory.
func TestCaptureStoredRandomly(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		l, s := newSavedLog(1 << 20)
		all := NewLog(LogOptions{Bound: 1 << 20, KeepHead: 300})
		for range rnd.IntN(60) {
			p := Piece{Kind: Stdout + Kind(rnd.IntN(2)), Data: written(Stdout, rnd.IntN(1000), 1+rnd.IntN(50)), Sealed: rnd.IntN(2) == 0}
			if rnd.IntN(4) == 0 {
				p.Data = append(p.Data, '\n')
			}
			l.Append(p)
			all.Append(p)
			if rnd.IntN(5) == 0 {
				event(l, "x")
				event(all, "x")
			}
		}
		for l.Saver().UnstoredAt().Seq < l.end.seq {
			s.store(l, 5, 40)
		}
		opened := OpenLog(LogOptions{Bound: 4 << 10, Save: &SaveOptions{Source: s}}, l.State())
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { s.serve(stop, 8) })
		got, err := opened.CaptureStored(context.Background(), 300, 500)
		close(stop)
		wg.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(all.Capture(300, 500), got); d != "" {
			t.Fatal(d)
		}
		s.checkReleased(t)
	}
}

func TestCaptureStoredIsBoundedByTheContext(t *testing.T) {
	s := &fakeSource{end: Mark{Seq: 2}}
	l := OpenLog(LogOptions{Save: &SaveOptions{Source: s}}, State{End: Mark{Seq: 2}})
	ctx, cancel := context.WithCancelCause(context.Background())
	broken := errors.New("broken")
	cancel(broken)
	if _, err := l.CaptureStored(ctx, 0, 10); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if len(l.cursors) > 0 || !s.loads[0].canceled {
		t.Error("the load was not canceled")
	}
}

// serve ends all loads until stop is closed, with parts of at most so many items.
func (s *fakeSource) serve(stop chan struct{}, items int) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-time.After(50 * time.Microsecond):
		}
		for f := s.next(0); f != nil; f = s.next(0) {
			f.finish(i%3, items)
		}
		if i%10 == 0 {
			s.revoke(i)
		}
	}
}

// TestSaverUnderConcurrentUse checks that cursors get what concurrent writers have appended, while
// it is saved, stored, loaded and evicted.
func TestSaverUnderConcurrentUse(t *testing.T) {
	const each = 200 << 10 // bytes of each writer
	wake := make(chan struct{}, 1)
	s := &fakeSource{}
	l := NewLog(LogOptions{Bound: 8 << 10, Save: &SaveOptions{Source: s, Wake: func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}}})
	stop := make(chan struct{})
	var writers, readers, others sync.WaitGroup
	others.Go(func() { saveUntil(l, s, wake, stop) })
	others.Go(func() { s.serve(stop, 5) })
	for _, kind := range []Kind{Stdout, Stderr} {
		writers.Go(func() {
			for at := 0; at < each; at += 100 {
				l.Append(Piece{Kind: kind, Data: written(kind, at, min(100, each-at)), Sealed: at%300 == 0})
				if at%5000 == 0 {
					event(l, "x")
				}
			}
		})
	}
	for i := range 4 {
		readers.Go(func() {
			ready := make(chan struct{}, 1)
			c := l.NewCursor(CursorOptions{Spool: true, Block: i == 0, Ready: func() { ready <- struct{}{} }})
			defer c.Close()
			var got [kinds][]byte
			for at := int64(0); ; {
				it, ok := c.Next()
				if !ok {
					<-ready
					continue
				}
				if it.From != at || it.Gap {
					t.Errorf("the item %d to %d after %d, gap %v", it.From, it.To, at, it.Gap)
					return
				}
				if at = it.To; it.Event == "last" {
					break
				}
				got[it.Kind] = append(got[it.Kind], it.Data...)
				if i == 3 {
					time.Sleep(50 * time.Microsecond) // falls behind
				}
			}
			c.Release()
			for _, kind := range []Kind{Stdout, Stderr} {
				if !bytes.Equal(got[kind], written(kind, 0, each)) {
					t.Errorf("%d bytes of kind %d are not what was written", len(got[kind]), kind)
				}
			}
		})
	}
	writers.Wait()
	event(l, "last")
	readers.Wait()
	close(stop)
	others.Wait()
	s.checkReleased(t)
	if l.oldest.seq == 0 || l.Counts().Lost > 0 {
		t.Errorf("evicted up to %d, %d bytes lost", l.oldest.seq, l.Counts().Lost)
	}
}

// saveUntil saves and stores what is appended, until stop is closed.
func saveUntil(l *Log, s *fakeSource, wake, stop chan struct{}) {
	for {
		b := l.Saver().Backlog()
		if b.Excess {
			s.store(l, 20, 1000)
		}
		if b.Unsaved > 0 {
			for it, ok := l.Saver().NextUnsaved(1000); ok && !it.Gap; it, ok = l.Saver().NextUnsaved(1000) {
			}
			l.Saver().Saved()
		}
		if !b.Excess && b.Unsaved == 0 {
			select {
			case <-wake:
			case <-stop:
				return
			}
		}
	}
}

// TestFlagsOfStoredOutput checks that the flags of an entry go with the last part of it.
func TestFlagsOfStoredOutput(t *testing.T) {
	l, s := newSavedLog(1 << 20)
	l.Append(Piece{Kind: Stdout, Data: []byte("abcd"), Marker: Marker, Truncated: true})
	l.Append(Piece{Kind: Stdout, Data: []byte("efgh"), Dropped: 7})
	for range 10 {
		s.store(l, 1, 3)
	}
	opened := OpenLog(LogOptions{Save: &SaveOptions{Source: s}}, l.State())
	c := opened.NewCursor(CursorOptions{})
	c.Pending()
	s.next(0).finish(0, 10)
	want := []string{"0-3 out:abc", "3-6 out:d..", "6-7 out:. truncated", "7-10 out:efg", "10-11 out:h dropped(7)"}
	if d := cmp.Diff(want, show(take(c))); d != "" {
		t.Error(d)
	}
}

func TestUnreadableErrorSaysWhere(t *testing.T) {
	err := &UnreadableError{Next: 7, Err: errors.New("bad checksum")}
	if s := err.Error(); !strings.Contains(s, "before 7") || !strings.Contains(s, "bad checksum") || !errors.Is(err, err.Err) {
		t.Error(s)
	}
}

// TestANoteBecomesVisible checks that a cursor that skips output is woken for a note, when the
// output before it is saved.
func TestANoteBecomesVisible(t *testing.T) {
	l, _ := newSavedLog(1 << 20)
	event(l, "started")
	calls := 0
	c := l.NewCursor(CursorOptions{EventsOnly: true, Ready: func() { calls++ }})
	put(l, Stdout, "ab")
	l.AppendNote("note")
	if got := readItems(c); got != "*1 " {
		t.Errorf("before the output was saved: %q", got)
	}
	calls = 0
	saveAll(l)
	if got := readItems(c); got != "!3 " || calls != 1 {
		t.Errorf("after it was saved: %q, ready was called %d times", got, calls)
	}
}

// TestANoteInsideAStoredItem checks that notes keep their positions in a source that joins output.
func TestANoteInsideAStoredItem(t *testing.T) {
	s := &fakeSource{end: Mark{Seq: 4}, items: []Item{{To: 4, Kind: Stdout, Data: []byte("abcd")}}}
	l := OpenLog(LogOptions{Save: &SaveOptions{Source: s}}, State{End: Mark{Seq: 4}, Notes: []Note{{2, "note"}}})
	c := l.NewCursor(CursorOptions{})
	c.Pending()
	s.next(0).finish(0, 1)
	if got := readItems(c); got != "ab2 !2 cd4 " {
		t.Errorf("read %q", got)
	}
}
