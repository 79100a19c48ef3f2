package session

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// begunSession makes a session that is listed, and that has no process.
func begunSession(id, owner string, created int64) *Session {
	s := &Session{spec: Spec{ID: id, Owner: owner}, created: created}
	s.status.start.called, s.status.start.begun = true, time.Now()
	return s
}

// TestIndex compares the lists of a registry with a slice, also while the clock stands still or is
// set back.
func TestIndex(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	r := NewRegistry(Options{})
	var all []*Session // newest first
	clock := int64(1000)
	for i := range 5000 {
		clock += random.Int64N(5) - 1
		switch {
		case len(all) > 0 && random.IntN(100) < 48:
			i := random.IntN(len(all))
			r.remove(all[i])
			all = slices.Delete(all, i, i+1)
		default:
			s := begunSession(string(rune(i)), []string{"me", "you", "they"}[random.IntN(3)], r.nextCreated(clock))
			r.add(s)
			all = slices.Insert(all, 0, s)
		}
		n, before := random.IntN(30), int64(0)
		if len(all) > 0 && random.IntN(2) > 0 {
			before = all[random.IntN(len(all))].created
		}
		expect := func(what string, got []*Session, permitted func(string) bool) {
			t.Helper()
			var want []*Session
			for _, s := range all {
				if permitted(s.spec.Owner) && (before == 0 || s.created < before) && len(want) < n {
					want = append(want, s)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s, %d before %d: got %d, want %d", what, n, before, len(got), len(want))
			}
		}
		me := func(owner string) bool { return owner == "me" }
		us := func(owner string) bool { return owner != "they" }
		expect("me", r.listOf("me", before, n), me)
		expect("me and you", r.listOfOwners(us, before, n), us)
		expect("all", r.listOfOwners(nil, before, n), func(string) bool { return true })
		entries := 0
		for _, o := range r.owners {
			entries += len(o.index.entries)
			if len(o.sessions) == 0 {
				t.Fatal("an owner without sessions is kept")
			}
		}
		if entries > 2*len(all)+6 {
			t.Fatalf("%d entries for %d sessions", entries, len(all))
		}
	}
	if len(all) < 10 {
		t.Errorf("only %d sessions are left", len(all))
	}
	if n := len(r.listOfOwners(nil, 0, math.MaxInt)); n != len(all) {
		t.Errorf("%d of %d sessions", n, len(all))
	}
}

// BenchmarkListBefore lists the sessions of an owner that has few beside one that has many, and
// those of both.
func BenchmarkListBefore(b *testing.B) {
	r := NewRegistry(Options{})
	for i := range 10_000 {
		r.add(begunSession(string(rune(i)), "many", r.nextCreated(int64(i+1))))
		if i%5000 == 0 {
			r.add(begunSession(string(rune(i)), "few", r.nextCreated(int64(i+1))))
		}
	}
	b.Run("few", func(b *testing.B) {
		for b.Loop() {
			_, _ = r.ListBefore("few", 0, 100, AllSessions)
		}
	})
	b.Run("many", func(b *testing.B) {
		for b.Loop() {
			_, _ = r.ListBefore("many", 5000, 100, AllSessions)
		}
	})
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			_, _ = r.ListOwnersBefore(nil, 5000, 100, AllSessions)
		}
	})
}
