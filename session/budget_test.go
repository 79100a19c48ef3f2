//go:build linux

package session

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/stream"
)

// share is what a log may hold at least, whatever the others do; slack is more than what one passes that by.
const (
	share = 128 << 10
	slack = 128 << 10
)

// flood is a script that writes n bytes of lines.
func flood(n int) string { return fmt.Sprintf("yes 0123456 | head -c %d", n) }

// oldest is the place where what is kept of a session begins.
func oldest(s *Session) int64 { return s.View().Oldest }

// TestReplayTotal: when all logs together pass their bound, those of ended sessions go first, their records stay;
// then nothing more that was consumed is kept; then who paces waits, but gets on with its share, and who is
// detached loses its oldest. Nothing is counted for what is forgotten.
func TestReplayTotal(t *testing.T) {
	const total, size = 1 << 20, 3000000
	r := registry(t, Options{ReplayTotal: total})
	most := watch(t, r.budget)
	var over []*Session
	var readers []*follower
	for i := range 3 {
		s := start(t, r, sh(fmt.Sprint("ended", i), flood(300000)))
		ended(t, s)
		over = append(over, s)
	}
	for _, s := range over {
		if oldest(s) != 0 {
			t.Errorf("%s was shed without need", s.ID())
		}
	}

	stuck := start(t, r, sh("stuck", "read x; "+flood(size)).piped())
	f := follow(t, stuck, stream.CursorOptions{Block: true})
	stuck.Write([]byte("\n"), nil, true)
	settled(t, stuck)
	if n := stuck.View().Counts.Written[stream.Stdout]; n < total/2 || n > total+slack {
		t.Errorf("one that nobody else was in the way of wrote %d bytes", n)
	}
	if oldest(over[0]) == 0 || oldest(over[0]) > oldest(over[2]) && oldest(over[2]) > 0 {
		t.Errorf("shed up to %d, %d and %d", oldest(over[0]), oldest(over[1]), oldest(over[2]))
	}
	for _, s := range over {
		late := follow(t, s, stream.CursorOptions{})
		readers = append(readers, late)
		if got := late.whole(); s.Record() == nil || got[len(got)-1] != "completed" {
			t.Errorf("%s tells %v", s.ID(), got)
		}
	}
	first := follow(t, over[0], stream.CursorOptions{})
	if len(first.whole()) > 1 || !first.items[0].Gap || first.items[0].Lost != 300000 {
		t.Errorf("the oldest one begins with %+v", first.items[0])
	}

	paced := start(t, r, sh("paced", "read x; "+flood(size)).piped())
	g := follow(t, paced, stream.CursorOptions{Block: true})
	paced.Write([]byte("\n"), nil, true)
	settled(t, paced)
	if n := paced.View().Counts.Written[stream.Stdout]; n < share/2 || n > share+slack {
		t.Errorf("at its share, one has written %d bytes", n)
	}
	g.whole()
	checkWhole(t, g, size)

	detached := start(t, r, sh("detached", flood(size)))
	ended(t, detached)
	if v := detached.View(); v.Last-v.Oldest > share+slack || v.Last != size+2 {
		t.Errorf("the detached one keeps %d to %d", v.Oldest, v.Last)
	}

	f.whole()
	checkWhole(t, f, size)
	if n := most(); n > total+3*(share+slack) {
		t.Errorf("all together held %d bytes", n)
	}
	forgetAll(r)
	if r.budget.Used() == 0 {
		t.Error("what is still read is not counted")
	}
	for _, x := range append(readers, first, f, g) {
		x.Drop()
	}
	if n := r.budget.Used(); n != 0 {
		t.Errorf("%d bytes are counted when all are forgotten", n)
	}
}

// piped gives the session's command a pipe as its stdin.
func (s Spec) piped() Spec {
	s.Program.Stdin = true
	return s
}

// settled waits until, for a while, a session has written nothing more.
func settled(t *testing.T, s *Session) {
	t.Helper()
	var last int64 = -1
	since := time.Now()
	if !poll(patience, func() bool {
		if n := s.View().Counts.Written[stream.Stdout]; n != last || n == 0 {
			last, since = n, time.Now()
		}
		return time.Since(since) > 300*time.Millisecond
	}) {
		t.Fatal("it does not stand still")
	}
}

func checkWhole(t *testing.T, f *follower, size int) {
	t.Helper()
	for _, it := range f.items {
		if it.Gap {
			t.Errorf("%+v of a pacing one", it)
		}
	}
	if got := f.output(); got != strings.Repeat("0123456\n", size/8) {
		t.Errorf("%d bytes came of %d", len(got), size)
	}
}

// watch looks at a budget until the returned function is called, which tells the most that was used.
func watch(t *testing.T, b *stream.Budget) func() int64 {
	var most atomic.Int64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			most.Store(max(most.Load(), b.Used()))
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	return most.Load
}

// forgetAll is what expire does when their time has passed.
func forgetAll(r *Registry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := r.ended.Front(); e != nil; e = r.ended.Front() {
		releaseBudget([]*Session{r.removeRetained(e)})
	}
}

// TestNothingIsCountedAfterExpiry, whatever the sessions wrote and however they were forgotten.
func TestNothingIsCountedAfterExpiry(t *testing.T) {
	for name, o := range map[string]Options{
		"by time":   {Retain: 20 * time.Millisecond, MaxRetained: 100},
		"by number": {Retain: time.Hour, MaxRetained: 1},
		"not kept":  {Retain: time.Hour, MaxRetained: -1},
	} {
		t.Run(name, func(t *testing.T) {
			o.ReplayTotal = 300000
			r := registry(t, o)
			for i := range 8 {
				start(t, r, sh(fmt.Sprint(i), flood(200000)))
			}
			for _, s := range r.all() {
				ended(t, s)
			}
			if o.Retain > time.Minute {
				forgetAll(r)
			}
			if !poll(patience, func() bool { return r.budget.Used() == 0 }) {
				t.Errorf("%d bytes are counted", r.budget.Used())
			}
		})
	}
}

// TestEndedLogIsShedWhenItsReaderGoes: a session that is held up because all logs together are at their bound gets on
// then, though nobody appends any more who would look for what can be given up.
func TestEndedLogIsShedWhenItsReaderGoes(t *testing.T) {
	const total, size = 1 << 20, 3000000
	r := registry(t, Options{ReplayTotal: total})
	over := start(t, r, sh("over", flood(900000)+"; read x").piped())
	reader := follow(t, over, stream.CursorOptions{Block: true})
	settled(t, over)
	held := start(t, r, sh("held", flood(size)))
	follow(t, held, stream.CursorOptions{Block: true})
	settled(t, held)
	written := func() int64 { return held.View().Counts.Written[stream.Stdout] }
	over.Write(nil, nil, true)
	ended(t, over)
	if n := written(); n > total/2 {
		t.Fatalf("it is not held up: it has written %d bytes", n)
	}
	reader.Drop()
	if !poll(patience, func() bool { return written() > total/2 }) {
		t.Errorf("it has written %d bytes", written())
	}
}
