package quota

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

func ptr[T any](v T) *T { return &v }

// TestPool takes and releases slots at random, and divides the pool anew. It checks after each step
// that no bound is exceeded, and that every known owner can take what is guaranteed to it.
func TestPool(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		total := 1 + random.IntN(1+random.IntN(60))
		p := NewPool(total, Shares{})
		have := make(map[string]int)
		shares := Shares{}
		divided := false // since it was divided anew, owners may have more than they may
		for range 400 {
			owner := fmt.Sprint("p", random.IntN(9))
			switch n := random.IntN(100); {
			case n < 1:
				shares, divided = randomShares(random, total), true
				p.Divide(shares)
			case n < 60:
				err := p.Check(owner)
				if got := p.Take(owner); (got == nil) != (err == nil) {
					t.Fatalf("Check %v, Take %v", err, got)
				}
				if err == nil {
					have[owner]++
				} else if e := (*LimitError)(nil); !errors.As(err, &e) || e.Used >= 0 && e.Used != have[owner] {
					t.Fatalf("%v: an owner with %d was told %+v", have, have[owner], e)
				}
			case have[owner] > 0:
				p.Release(owner)
				have[owner]--
			}
			check(t, p, shares, have, divided)
		}
		for owner, n := range have {
			for range n {
				p.Release(owner)
			}
			have[owner] = 0
		}
		check(t, p, shares, have, false)
		if len(p.accounts) != len(shares.Owners) {
			t.Fatalf("%d accounts for %d known owners", len(p.accounts), len(shares.Owners))
		}
	}
}

// usedBy returns how many slots an owner has.
func (p *Pool) usedBy(owner string) int {
	if a := p.accounts[owner]; a != nil {
		return a.used
	}
	return 0
}

func randomShares(random *rand.Rand, total int) Shares {
	s := Shares{Owners: map[string]Share{}, Groups: map[string]int{}, GroupOf: map[string]string{}}
	for i := range 7 {
		name, share := fmt.Sprint("p", i), Share{}
		if random.IntN(4) == 0 {
			share.Min = ptr(random.IntN(total))
		}
		if random.IntN(4) == 0 {
			share.Max = ptr(random.IntN(total + 3))
		}
		if random.IntN(3) > 0 {
			s.Owners[name] = share
		}
		if random.IntN(2) == 0 {
			s.GroupOf[name] = fmt.Sprint("g", random.IntN(2))
		}
	}
	for g := range 2 {
		if random.IntN(2) == 0 {
			s.Groups[fmt.Sprint("g", g)] = random.IntN(total + 3)
		}
	}
	return s
}

func check(t *testing.T, p *Pool, s Shares, have map[string]int, divided bool) {
	t.Helper()
	sum, groups := 0, map[string]int{}
	for owner, n := range have {
		sum += n
		groups[s.GroupOf[owner]] += n
		if share := s.Owners[owner]; share.Max != nil && n > *share.Max && !divided {
			t.Fatalf("%s has %d of at most %d", owner, n, *share.Max)
		}
		if p.usedBy(owner) != n {
			t.Fatalf("%s has %d, counted %d", owner, n, p.usedBy(owner))
		}
	}
	for g, most := range s.Groups {
		if groups[g] > most && !divided {
			t.Fatalf("%s has %d of at most %d", g, groups[g], most)
		}
	}
	if sum > p.total || p.Used() != sum {
		t.Fatalf("%d of %d in use, counted %d", sum, p.total, p.Used())
	}
	if !divided {
		takeAllParts(t, p)
	}
}

// takeAllParts checks that all known owners together can take what is guaranteed to them.
func takeAllParts(t *testing.T, p *Pool) {
	t.Helper()
	taken := map[string]int{}
	for name, a := range p.accounts {
		for a.used < a.min {
			if err := p.Take(name); err != nil {
				t.Fatalf("%s with %d of %d guaranteed: %v", name, a.used, a.min, err)
			}
			taken[name]++
		}
	}
	for name, n := range taken {
		for range n {
			p.Release(name)
		}
	}
}

func TestPoolParts(t *testing.T) {
	for _, c := range []struct {
		name string
		s    Shares
		want map[string]int // what each can take while the others have nothing
	}{
		{"nothing is divided", Shares{}, map[string]int{"a": 100, "b": 100}},
		{"one owner", Shares{Owners: map[string]Share{"a": {}}}, map[string]int{"a": 100, "other": 25}},
		{"two owners", Shares{Owners: map[string]Share{"a": {}, "b": {}}}, map[string]int{"a": 75, "b": 75, "other": 25}},
		{"guaranteed", Shares{Owners: map[string]Share{"a": {Min: ptr(30)}, "b": {}}}, map[string]int{"a": 80, "b": 70}},
		{"all guaranteed", Shares{Owners: map[string]Share{"a": {Min: ptr(60)}, "b": {Min: ptr(40)}}}, map[string]int{"a": 60, "b": 40, "other": 0}},
		{"none guaranteed", Shares{Owners: map[string]Share{"a": {Min: ptr(0)}, "b": {Min: ptr(0)}}}, map[string]int{"a": 100}},
		{"at most", Shares{Owners: map[string]Share{"a": {Max: ptr(5)}, "b": {Max: ptr(0)}}}, map[string]int{"a": 5, "b": 0}},
		{"a group", Shares{Owners: map[string]Share{"a": {}, "b": {}}, Groups: map[string]int{"g": 10}, GroupOf: map[string]string{"a": "g", "b": "g"}},
			map[string]int{"a": 5, "b": 5}},
	} {
		checkParts(t, 100, c.s)
		for owner, want := range c.want {
			p := NewPool(100, c.s)
			n := 0
			for p.Take(owner) == nil {
				n++
			}
			if n != want {
				t.Errorf("%s: %s took %d, want %d", c.name, owner, n, want)
			}
		}
	}
}

// TestSmallPoolParts checks what is guaranteed if half the pool is less than one for each owner.
func TestSmallPoolParts(t *testing.T) {
	owners := func(n int, more map[string]Share) map[string]Share {
		all := maps.Clone(more)
		if all == nil {
			all = make(map[string]Share)
		}
		for i := range n {
			all[fmt.Sprint("p", i)] = Share{}
		}
		return all
	}
	crowded := Shares{Owners: owners(2, map[string]Share{"c": {}, "min": {Min: ptr(1)}}), Groups: map[string]int{"g": 2},
		GroupOf: map[string]string{"p0": "g", "p1": "g", "min": "g"}}
	for _, c := range []struct {
		name     string
		total    int
		s        Shares
		want     int // p0 has so many
		unshared int
	}{
		{"half is one for each", 6, Shares{Owners: owners(3, nil)}, 1, 0},
		{"half is less than one for each", 4, Shares{Owners: owners(3, nil)}, 1, 0},
		{"just one for each", 100, Shares{Owners: owners(100, nil)}, 1, 0},
		{"not one for each", 100, Shares{Owners: owners(101, nil)}, 0, 101},
		{"one beside what is guaranteed", 4, Shares{Owners: owners(2, map[string]Share{"min": {Min: ptr(2)}})}, 1, 0},
		{"not one beside what is guaranteed", 4, Shares{Owners: owners(2, map[string]Share{"min": {Min: ptr(3)}})}, 0, 2},
		{"those that may have none do not count", 2, Shares{Owners: owners(2, map[string]Share{"none": {Max: ptr(0)}, "nothing": {Min: ptr(0)}})}, 1, 0},
		{"not one for each of a group", 3, crowded, 0, 0},
		{"nobody", 1, Shares{}, 0, 0},
	} {
		checkParts(t, c.total, c.s)
		if got := c.s.Parts(c.total)["p0"]; got != c.want || c.s.Unshared(c.total) != c.unshared {
			t.Errorf("%s: %d are guaranteed, want %d; %d have no share, want %d", c.name, got, c.want, c.s.Unshared(c.total), c.unshared)
		}
	}
	if got := crowded.Parts(3); got["c"] != 1 || got["min"] != 1 {
		t.Errorf("members of a group for which it has too few: %v", got)
	}
}

// TestParts checks the invariants of what is guaranteed, for random shares.
func TestParts(t *testing.T) {
	for seed := range uint64(5000) {
		random := rand.New(rand.NewPCG(seed, 2))
		total := random.IntN(1 + random.IntN(40))
		checkParts(t, total, randomShares(random, total+1))
	}
}

// checkParts checks that what is guaranteed fits into the total, the groups and what an owner may
// have, that Share.Min counts first, and that all others have at least one or none has any.
func checkParts(t *testing.T, total int, s Shares) {
	t.Helper()
	parts := s.Parts(total)
	sum, least, groups := 0, 0, map[string]int{}
	with, without := 0, 0
	for name, x := range s.Owners {
		n := parts[name]
		sum += n
		groups[s.GroupOf[name]] += n
		_, inGroup := s.Groups[s.GroupOf[name]]
		switch {
		case n < 0 || x.Max != nil && n > *x.Max:
			t.Fatalf("total %d: %s has %d: %+v", total, name, n, s)
		case x.Min != nil:
			least += n
			if n > *x.Min {
				t.Fatalf("total %d: %s has %d: %+v", total, name, n, s)
			}
		case n > 0:
			with++
		case !inGroup && (x.Max == nil || *x.Max > 0):
			without++
		}
	}
	if len(parts) != len(s.Owners) || sum > total {
		t.Fatalf("total %d: %v of %+v", total, parts, s)
	}
	for name, most := range s.Groups {
		if groups[name] > most {
			t.Fatalf("total %d: group %s has %d: %v of %+v", total, name, groups[name], parts, s)
		}
	}
	if n := s.Unshared(total); with > 0 && without > 0 || without > 0 && n < without || with > 0 && n > 0 || n > 0 && n <= total-least {
		t.Fatalf("total %d: %d with and %d without an even part, %d unshared: %v of %+v", total, with, without, n, parts, s)
	}
}

// TestObservers checks that owners which begin no sessions have a share of connections only.
func TestObservers(t *testing.T) {
	c := Config{Owners: map[string]Quotas{"a": {}, "o": {MinSessions: ptr(9)}}, Observers: map[string]bool{"o": true}}
	if err := c.Check(4); err != nil {
		t.Error(err)
	}
	one := map[string]int{"a": 2}
	for name, s := range map[string]Shares{"sessions": c.Sessions(), "queue": c.Queue(), "replay": c.Replay()} {
		if got := s.Parts(4); !maps.Equal(got, one) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := c.Connections().Parts(4); !maps.Equal(got, map[string]int{"a": 1, "o": 1}) {
		t.Errorf("connections: %v", got)
	}
}

// TestUnknownOwnersLeaveSlots checks that owners without a part do not take everything from those
// that come later.
func TestUnknownOwnersLeaveSlots(t *testing.T) {
	p := NewPool(100, Shares{Owners: map[string]Share{"known": {}}})
	for i := range 5 {
		name := fmt.Sprint("unknown", i)
		for p.Take(name) == nil {
		}
		if p.usedBy(name) == 0 {
			t.Errorf("%s has nothing", name)
		}
	}
	for range 50 {
		if err := p.Take("known"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLimitErrorTellsNothingOfOthers(t *testing.T) {
	two := Shares{
		Owners: map[string]Share{"a": {}, "b": {Max: ptr(1)}, "c": {}},
		Groups: map[string]int{"g": 3}, GroupOf: map[string]string{"c": "g"},
	}
	for _, c := range []struct {
		shares Shares
		others int
		owner  string
		want   LimitError
	}{
		{Shares{}, 0, "a", LimitError{Server, 10, 10}},
		{Shares{Owners: map[string]Share{"a": {}}}, 0, "a", LimitError{Server, 10, 10}},
		{Shares{}, 2, "a", LimitError{Server, 10, -1}},
		{two, 0, "a", LimitError{Server, 10, -1}},
		{two, 0, "b", LimitError{Principal, 1, 1}},
		{two, 0, "c", LimitError{InGroup, 3, -1}},
	} {
		p := NewPool(10, c.shares)
		for i := range c.others {
			if err := p.Take(fmt.Sprint("x", i)); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		for err == nil {
			err = p.Take(c.owner)
		}
		if got := err.(*LimitError); *got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.owner, *got, c.want)
		}
	}
}

func TestConfigCheck(t *testing.T) {
	c := Config{Owners: map[string]Quotas{"a": {MinSessions: ptr(6)}, "b": {MinSessions: ptr(4)}, "c": {}}}
	if err := c.Check(10); err != nil {
		t.Error(err)
	}
	if err := c.Check(9); err == nil {
		t.Error("10 of 9 sessions are guaranteed")
	}
}

func BenchmarkPool(b *testing.B) {
	p := NewPool(100, Shares{Owners: map[string]Share{"user": {}}})
	for b.Loop() {
		if err := p.Take("user"); err != nil {
			b.Fatal(err)
		}
		p.Release("user")
	}
}
