package session

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnel-rpc/runnel/session/quota"
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
