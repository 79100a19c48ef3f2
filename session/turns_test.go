package session

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnel-rpc/runnel/session/quota"
)

// turnsOf returns turns for so many processors.
func turnsOf(processors int) *turns {
	t := newTurns()
	t.processors = processors
	return t
}

// enterAll lets starts of an owner enter in this order, and sends each turn when it has begun.
func enterAll(turns *turns, begun chan<- *turn, owner string, n int) {
	for range n {
		go func() { begun <- turns.enter(owner) }()
		synctest.Wait()
	}
}

// TestTurnsOfOneOwner checks that a single active owner has all turns, and that none is kept after
// the start.
func TestTurnsOfOneOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, begun := turnsOf(4), make(chan *turn, 10)
		enterAll(turns, begun, "a", 6)
		for left := 6; left > 0; left-- {
			if n := len(begun); n != min(left, 4) {
				t.Fatalf("%d of %d starts have begun", n, left)
			}
			w := <-begun
			w.started()
			if w.phase != turnEnded {
				t.Error("a command counts although nobody else is active")
			}
			synctest.Wait()
		}
	})
}

// TestTurnsOfSeveralOwners checks that owners take turns however many starts each has, and that an
// owner that was not served for the longest time is next.
func TestTurnsOfSeveralOwners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, begun := turnsOf(1), make(chan *turn, 10)
		enterAll(turns, begun, "a", 4)
		enterAll(turns, begun, "b", 1)
		enterAll(turns, begun, "c", 1)
		enterAll(turns, begun, "b", 1)
		var got []string
		for range 7 {
			w := <-begun
			got = append(got, w.owner.name)
			w.started()
			w.end()
			synctest.Wait()
			if len(begun) > 1 {
				t.Fatalf("%d starts at once", len(begun))
			}
		}
		if want := []string{"a", "b", "c", "a", "b", "a", "a"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// TestTurnsOfOwnersThatComeBack checks that owners that were not active do not overtake one that waits
// for longer than ownerActive.
func TestTurnsOfOwnersThatComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, begun := turnsOf(1), make(chan *turn, 10)
		enterAll(turns, begun, "a", 2)
		time.Sleep(ownerActive / 2)
		enterAll(turns, begun, "b", 1)
		time.Sleep(ownerActive)
		enterAll(turns, begun, "c", 1)
		var got []string
		for range 4 {
			w := <-begun
			got = append(got, w.owner.name)
			w.end()
			synctest.Wait()
		}
		if want := []string{"a", "b", "a", "c"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// TestTurnsKeepTheOrderOfAnOwner checks that the starts of one owner begin in their order.
func TestTurnsKeepTheOrderOfAnOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, begun := turnsOf(1), make(chan string, 10)
		first := turns.enter("a")
		var want, got []string
		for i := range 5 {
			id := fmt.Sprint(i)
			want = append(want, id)
			go func() {
				w := turns.enter("a")
				begun <- id
				w.end()
			}()
			synctest.Wait()
		}
		first.end()
		for range 5 {
			got = append(got, <-begun)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
	})
}

// TestTurnsLeaveProcessorsToOthers checks that an owner with many starts has one on its way while
// another is active, that its commands count until they exit or countedRun has passed, and that it
// has all turns again when the other is no longer active.
func TestTurnsLeaveProcessorsToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, begun := turnsOf(4), make(chan *turn, 10)
		other := turns.enter("b")
		enterAll(turns, begun, "a", 10)
		expect := func(n int, when string) {
			t.Helper()
			synctest.Wait()
			if len(begun) != n {
				t.Fatalf("%s: %d starts have begun", when, len(begun))
			}
		}
		expect(1, "the other starts")
		first := <-begun
		first.started()
		expect(1, "one command runs")
		(<-begun).started()
		expect(0, "two commands run, half as many as processors")
		first.end()
		expect(1, "one of them has exited")
		w := <-begun
		time.Sleep(2 * countedRun)
		w.started()
		expect(1, "no command but the last counts")
		other.started()
		other.end()
		(<-begun).started()
		expect(0, "the other was active a moment ago")
		time.Sleep(2 * countedRun)
		expect(1, "no command counts")
		time.Sleep(ownerActive)
		(<-begun).started()
		expect(4, "the other is no longer active")
		for range 4 {
			(<-begun).started()
		}
		expect(1, "the last")
		(<-begun).started()
		if turns.starting != 0 || len(turns.owners) != turns.order.Len() {
			t.Errorf("%d turns, %d owners, %d in order", turns.starting, len(turns.owners), turns.order.Len())
		}
	})
}

// TestBlockedStartsKeepNoTurn checks that a start that a file system blocks gives its turn to others.
func TestBlockedStartsKeepNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		var all []*turn
		for range turns.processors {
			all = append(all, turns.enterBriefly("blocked"))
		}
		begin := time.Now()
		w := turns.enter("other")
		if d := time.Since(begin); d != maxTurn {
			t.Errorf("waited for %v", d)
		}
		w.end()
		for _, w := range all {
			w.started()
		}
		if turns.starting != 0 {
			t.Errorf("%d starts have a turn", turns.starting)
		}
	})
}

func BenchmarkTurns(b *testing.B) {
	turns := newTurns()
	for b.Loop() {
		turn := turns.enter("user")
		turn.started()
		turn.end()
	}
}

// TestOneOwnerNeedsNoTurn checks that starts take turns only if there are several owners.
func TestOneOwnerNeedsNoTurn(t *testing.T) {
	r := NewRegistry(Options{})
	reserve := func(owner, id string) *Session {
		s, _, err := r.Reserve(Spec{ID: id, Owner: owner})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first, second, third := reserve("a", "1"), reserve("b", "1"), reserve("a", "2")
	if first.byTurns || !second.byTurns || !third.byTurns {
		t.Errorf("by turns: %v, %v, %v", first.byTurns, second.byTurns, third.byTurns)
	}
	for _, s := range []*Session{first, second, third} {
		s.Discard()
	}
	if err := r.SetQuotas(quota.Config{Owners: map[string]quota.Quotas{"a": {}, "b": {}}}); err != nil {
		t.Fatal(err)
	}
	s := reserve("a", "3")
	if !s.byTurns {
		t.Error("no turns with several principals that are known")
	}
	s.Discard()
}
