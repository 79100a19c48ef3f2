package session

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestTurns checks that owners take turns however many starts each has, and that the starts of one
// owner keep their order.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		for range newTurns().free {
			turns.enter("first")
		}
		var got []string
		start := func(owner, id string) {
			go func() {
				turns.enter(owner)
				got = append(got, id)
			}()
			synctest.Wait()
		}
		for _, id := range []string{"a1", "a2", "a3", "a4"} {
			start("a", id)
		}
		start("b", "b1")
		start("c", "c1")
		start("b", "b2")
		for range 7 {
			turns.leave()
			synctest.Wait()
		}
		if want := []string{"a1", "b1", "c1", "a2", "b2", "a3", "a4"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if len(turns.owners) != 0 || turns.free != 0 {
			t.Errorf("%d owners wait, %d turns are free", len(turns.owners), turns.free)
		}
	})
}

// TestBlockedStartsKeepNoTurn checks that a start that a file system blocks gives its turn to others.
func TestBlockedStartsKeepNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		all := turns.free
		var leave []func()
		for range all {
			leave = append(leave, turns.enterBriefly("blocked"))
		}
		begin := time.Now()
		turns.enter("other")
		if d := time.Since(begin); d != maxTurn {
			t.Errorf("waited for %v", d)
		}
		turns.leave()
		for _, f := range leave {
			f()
		}
		if turns.free != all {
			t.Errorf("%d of %d turns are free", turns.free, all)
		}
	})
}

func BenchmarkTurns(b *testing.B) {
	turns := newTurns()
	for b.Loop() {
		turns.enter("user")
		turns.leave()
	}
}
