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

// share is how much a log may hold if the budget is exceeded; slack is more than a log exceeds that
// by.
const (
	share = 128 << 10
	slack = 128 << 10
)

// flood returns a script that writes n bytes of lines.
func flood(n int) string { return fmt.Sprintf("yes 0123456 | head -c %d", n) }

// oldest returns the oldest position in the log of a session.
func oldest(s *Session) int64 { return s.View().Oldest }

// TestReplayTotal checks what happens when all logs together exceed the budget: the logs of ended
// sessions are evicted, but not their records; then output that was read; then the log of a session
// with a blocking client waits at its share, and a session without a client loses its oldest
// output. Removed sessions are not charged.
func TestReplayTotal(t *testing.T) {
	const total, size = 1 << 20, 3000000
	r := unspooled(t, Options{ReplayTotal: total})
	most := watchBudget(t, r.budget)
	var old []*Session
	var readers []*follower
	for i := range 3 {
		s := start(t, r, sh(fmt.Sprint("ended", i), flood(300000)))
		ended(t, s)
		old = append(old, s)
	}
	for _, s := range old {
		if oldest(s) != 0 {
			t.Errorf("%s was evicted without need", s.ID())
		}
	}

	stuck := start(t, r, sh("stuck", "read x; "+flood(size)).piped())
	f := follow(t, stuck, stream.CursorOptions{Block: true})
	stuck.Write([]byte("\n"), nil, nil, true)
	settled(t, stuck)
	if n := stuck.View().Counts.Written[stream.Stdout]; n < total/2 || n > total+slack {
		t.Errorf("a session without competition wrote %d bytes", n)
	}
	if oldest(old[0]) == 0 || oldest(old[0]) > oldest(old[2]) && oldest(old[2]) > 0 {
		t.Errorf("evicted up to %d, %d and %d", oldest(old[0]), oldest(old[1]), oldest(old[2]))
	}
	for _, s := range old {
		late := follow(t, s, stream.CursorOptions{})
		readers = append(readers, late)
		if got := late.whole(); s.Record() == nil || got[len(got)-1] != "completed" {
			t.Errorf("%s has the events %v", s.ID(), got)
		}
	}
	first := follow(t, old[0], stream.CursorOptions{})
	if len(first.whole()) > 1 || !first.items[0].Gap || first.items[0].Lost != 300000 {
		t.Errorf("the oldest session begins with %+v", first.items[0])
	}

	blocked := start(t, r, sh("blocked", "read x; "+flood(size)).piped())
	g := follow(t, blocked, stream.CursorOptions{Block: true})
	blocked.Write([]byte("\n"), nil, nil, true)
	settled(t, blocked)
	if n := blocked.View().Counts.Written[stream.Stdout]; n < share/2 || n > share+slack {
		t.Errorf("a session that is blocked at its share has written %d bytes", n)
	}
	g.whole()
	checkWhole(t, g, size)

	detached := start(t, r, sh("detached", flood(size)))
	ended(t, detached)
	if v := detached.View(); v.Last-v.Oldest > share+slack || v.Last != size+2 {
		t.Errorf("the session without a client keeps %d to %d", v.Oldest, v.Last)
	}

	f.whole()
	checkWhole(t, f, size)
	if n := most(); n > total+3*(share+slack) {
		t.Errorf("all logs together held %d bytes", n)
	}
	removeAllRetained(r)
	if r.budget.Used() == 0 {
		t.Error("logs that are still read are not charged")
	}
	for _, x := range append(readers, first, f, g) {
		x.Disconnect()
	}
	if n := r.budget.Used(); n != 0 {
		t.Errorf("%d bytes are charged after all sessions were removed", n)
	}
}

// piped gives the session's command a pipe as its stdin.
func (s Spec) piped() Spec {
	s.Program.Stdin = true
	return s
}

// settled waits until a session has written nothing for a while.
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
		t.Fatal("the session does not stop writing")
	}
}

func checkWhole(t *testing.T, f *follower, size int) {
	t.Helper()
	for _, it := range f.items {
		if it.Gap {
			t.Errorf("a blocking client got %+v", it)
		}
	}
	if got := f.output(); got != strings.Repeat("0123456\n", size/8) {
		t.Errorf("%d bytes of %d were read", len(got), size)
	}
}

// watchBudget samples a budget until the end of the test. The returned function returns the largest
// use.
func watchBudget(t *testing.T, b *stream.Budget) func() int64 {
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

// removeAllRetained does what expire does when the time of all ended sessions has passed.
func removeAllRetained(r *Registry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := r.ended.Front(); e != nil; e = r.ended.Front() {
		releaseBudget([]*Session{r.removeRetained(e.Value.(*retained))})
	}
}

// TestRemovedSessionsAreNotCharged checks that for each way in which ended sessions are removed.
func TestRemovedSessionsAreNotCharged(t *testing.T) {
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
				removeAllRetained(r)
			}
			if !poll(patience, func() bool { return r.budget.Used() == 0 }) {
				t.Errorf("%d bytes are charged", r.budget.Used())
			}
		})
	}
}

// TestEndedLogIsEvictedWhenItsReaderDetaches checks that this lets an append continue that waits
// for the budget.
func TestEndedLogIsEvictedWhenItsReaderDetaches(t *testing.T) {
	const total, size = 1 << 20, 3000000
	r := registry(t, Options{ReplayTotal: total})
	old := start(t, r, sh("old", flood(900000)+"; read x").piped())
	reader := follow(t, old, stream.CursorOptions{Block: true})
	settled(t, old)
	waiting := start(t, r, sh("waiting", flood(size)))
	follow(t, waiting, stream.CursorOptions{Block: true})
	settled(t, waiting)
	written := func() int64 { return waiting.View().Counts.Written[stream.Stdout] }
	old.Write(nil, nil, nil, true)
	ended(t, old)
	if n := written(); n > total/2 {
		t.Fatalf("the session does not wait: it has written %d bytes", n)
	}
	reader.Disconnect()
	if !poll(patience, func() bool { return written() > total/2 }) {
		t.Errorf("the waiting session has written %d bytes", written())
	}
}
