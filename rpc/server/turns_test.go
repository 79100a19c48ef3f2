package server

import (
	"testing"
	"testing/synctest"
	"time"
)

// turnsOf returns turns for so many processors, with a connection of each principal.
func turnsOf(processors int, principals ...string) *turns {
	t := newTurns()
	t.processors = processors
	for _, p := range principals {
		t.connect(p)
	}
	return t
}

// beginning enters so many turns of a principal, and returns those that have begun, in their order.
func (t *turns) beginning(principal string, n int) <-chan *turn {
	begun := make(chan *turn, n)
	for range n {
		go func() { begun <- t.enter(principal, 0) }()
		synctest.Wait() // the order of entering
	}
	return begun
}

// hasBegun checks how many turns have begun, and returns them.
func hasBegun(t *testing.T, from <-chan *turn, want int) (all []*turn) {
	t.Helper()
	synctest.Wait()
	for len(from) > 0 {
		all = append(all, <-from)
	}
	if len(all) != want {
		t.Fatalf("%d turns have begun, want %d", len(all), want)
	}
	return all
}

// TestTurns: a principal that is alone has no turns; one that is active alone has as many at the same
// time as there are processors; of several each has its part. Turns begin in the order of entering.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := turnsOf(4, "a")
		for _, w := range hasBegun(t, turns.beginning("a", 10), 10) {
			if w != nil {
				t.Error("a turn of a principal that is alone")
			}
			w.leave()
		}
		turns.connect("b")
		time.Sleep(time.Second) // a new period
		of := turns.beginning("a", 6)
		first := hasBegun(t, of, 4)
		hasBegun(t, turns.beginning("b", 1), 1)[0].leave()
		first[0].leave()
		first[1].leave()
		hasBegun(t, of, 0) // two of a, which is its part now
		first[2].leave()
		hasBegun(t, of, 1)[0].leave()
		last := hasBegun(t, of, 1)[0]
		last.leave()
		last.leave()
		first[3].leave()
		if s := turns.shares["a"]; len(s.running) != 0 || len(s.waiting) != 0 {
			t.Errorf("%d turns and %d waiting are left", len(s.running), len(s.waiting))
		}
		turns.disconnect("a")
		turns.disconnect("b")
		if len(turns.shares) != 0 || turns.connected.Load() != 0 {
			t.Errorf("%d principals are left", len(turns.shares))
		}
	})
}

// TestTurnsPause: a principal whose turns wait pauses for as long as those before took, while another
// one is active; one whose turns do not wait does not pause.
func TestTurnsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := turnsOf(2, "a", "b")
		b := func() {
			begin := time.Now()
			w := turns.enter("b", turnsTime)
			if d := time.Since(begin); d != 0 {
				t.Errorf("b has waited %v", d)
			}
			w.leave()
		}
		b()
		of := turns.beginning("a", 3)
		w := hasBegun(t, of, 1)[0]
		time.Sleep(turnsTime / 2)
		w.leave()
		w = hasBegun(t, of, 1)[0] // less than turnsTime: no pause
		time.Sleep(turnsTime)
		w.leave()
		hasBegun(t, of, 0)
		b()
		time.Sleep(turnsTime + turnsTime/2 - 1)
		hasBegun(t, of, 0)
		time.Sleep(time.Nanosecond)
		last := hasBegun(t, of, 1)[0]
		time.Sleep(turnsTime / 2)
		last.leave() // no turn waits, so what was used before does not count
		of = turns.beginning("a", 2)
		w = hasBegun(t, of, 1)[0]
		time.Sleep(turnsTime / 2)
		w.leave()
		hasBegun(t, of, 1)[0].leave()
	})
}

// TestTurnsOfOneActive: a principal does not pause for one that is connected and not active, and has its
// turns for a while after the other one was active, but not longer.
func TestTurnsOfOneActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := turnsOf(2, "a", "b")
		turns.longest = time.Hour
		turns.enter("b", 0).leave()
		turns.enter("a", 0).leave()
		time.Sleep(activeTime)
		of := turns.beginning("a", 4)
		w := hasBegun(t, of, 1)[0] // b was active in the period before
		time.Sleep(activeTime)
		turns.beginning("a", 1)
		w.leave() // the beginning of another period
		all := hasBegun(t, of, 2)
		all[0].leave()
		all[1].leave()
		for _, w := range hasBegun(t, of, 1) {
			w.leave()
		}
	})
}

// TestTurnsCountSystemCalls: the time before a turn counts, and a pause is bounded.
func TestTurnsCountSystemCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := turnsOf(2, "a", "b")
		turns.enter("b", 0).leave()
		w := turns.enter("a", time.Hour)
		of := turns.beginning("a", 1)
		w.leave()
		time.Sleep(maxPause - 1)
		hasBegun(t, of, 0)
		time.Sleep(time.Nanosecond)
		hasBegun(t, of, 1)[0].leave()
	})
}

// TestTurnsOverdue: other turns begin when one takes too long, and its end has no effect then.
func TestTurnsOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := turnsOf(2, "a", "b")
		turns.enter("b", 0).leave()
		stuck := turns.enter("a", 0)
		of := turns.beginning("a", 3)
		for range 2 {
			time.Sleep(maxTurn - 1)
			hasBegun(t, of, 0)
			time.Sleep(time.Nanosecond)
			hasBegun(t, of, 1) // and is not left either
		}
		stuck.leave()
		hasBegun(t, of, 0)
		time.Sleep(maxTurn)
		hasBegun(t, of, 1)[0].leave()
		time.Sleep(maxTurn)
		if s := turns.shares["a"]; s.overdue != nil {
			t.Error("a timer without turns that wait")
		}
	})
}
