package session

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestIndex compares the index with a slice, also while the clock stands still or is set back.
func TestIndex(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var x index
	var all []*Session // newest first
	clock := int64(1000)
	for range 5000 {
		clock += random.Int64N(5) - 1
		switch {
		case len(all) > 0 && random.IntN(100) < 48:
			i := random.IntN(len(all))
			x.remove(all[i])
			all = slices.Delete(all, i, i+1)
		default:
			s := &Session{spec: Spec{Owner: []string{"me", "you"}[random.IntN(2)]}}
			x.add(s, clock)
			all = slices.Insert(all, 0, s)
		}
		n, before := random.IntN(30), int64(0)
		if len(all) > 0 && random.IntN(2) > 0 {
			before = all[random.IntN(len(all))].created
		}
		var want []*Session
		for _, s := range all {
			if s.spec.Owner == "me" && (before == 0 || s.created < before) && len(want) < n {
				want = append(want, s)
			}
		}
		if got := x.before("me", before, n); !slices.Equal(got, want) {
			t.Fatalf("%d before %d: got %d, want %d", n, before, len(got), len(want))
		}
		if len(x.entries) > 2*len(all)+2 {
			t.Fatalf("%d entries for %d sessions", len(x.entries), len(all))
		}
	}
	if len(all) < 10 {
		t.Errorf("only %d sessions are left", len(all))
	}
}

func BenchmarkIndexBefore(b *testing.B) {
	var x index
	for i := range 10_000 {
		x.add(&Session{}, int64(i+1))
	}
	for b.Loop() {
		x.before("", 5000, 100)
	}
}
