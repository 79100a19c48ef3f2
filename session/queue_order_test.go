package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/session/quota"
)

// modelQueue gives slots as queue.allot does, by looking at every owner for every slot.
type modelQueue struct {
	slots  *quota.Pool
	starts *quota.Starts
	owners []*modelOwner // the one whose turn is longest ago is first
}

type modelOwner struct {
	name    string
	waiting []*place
}

func (m *modelQueue) find(owner string) *modelOwner {
	i := slices.IndexFunc(m.owners, func(o *modelOwner) bool { return o.name == owner })
	if i < 0 {
		return nil
	}
	return m.owners[i]
}

func (m *modelQueue) add(p *place) (position int) {
	o := m.find(p.owner)
	if o == nil {
		o = &modelOwner{name: p.owner}
		m.owners = append(m.owners, o)
	}
	o.waiting = append(o.waiting, p)
	return len(o.waiting)
}

func (m *modelQueue) remove(p *place) {
	o := m.find(p.owner)
	o.waiting = slices.DeleteFunc(o.waiting, func(other *place) bool { return other == p })
	if len(o.waiting) == 0 {
		m.owners = slices.DeleteFunc(m.owners, func(other *modelOwner) bool { return other == o })
	}
}

func (m *modelQueue) allot(now time.Time) (given []*place, retry time.Duration) {
	limited := make(map[string]bool)
	for {
		var next *modelOwner
		for _, o := range m.owners {
			if o.waiting[0].noted && !limited[o.name] && m.slots.Check(o.name) == nil &&
				(next == nil || m.slots.UsedBy(o.name) < m.slots.UsedBy(next.name)) {
				next = o
			}
		}
		if next == nil {
			return given, retry
		}
		if err := m.starts.Take(next.name, now); err != nil {
			limited[next.name] = true
			if _, after := refusal(err); retry == 0 || after < retry {
				retry = after
			}
			continue
		}
		_ = m.slots.Take(next.name)
		p := next.waiting[0]
		given = append(given, p)
		m.owners = append(slices.DeleteFunc(m.owners, func(o *modelOwner) bool { return o == next }), next)
		m.remove(p)
	}
}

// queueTest does the same to a queue and to a model of it.
type queueTest struct {
	*testing.T
	rand   *rand.Rand
	now    time.Time
	q      *queue
	starts *quota.Starts
	model  *modelQueue
	made   []*place // those that wait, or are not noted yet
	held   []string // an owner for each slot that is taken
}

var queueOwners = []string{"a", "b", "c", "d", "e", "f", "g", "h"}

func newQueueTest(t *testing.T, random *rand.Rand) *queueTest {
	x := &queueTest{T: t, rand: random, now: time.Unix(1000, 0)}
	slots := 1 + x.rand.IntN(20)
	x.q = newQueue(1000, quota.NewPool(slots, quota.Shares{}))
	x.model = &modelQueue{slots: quota.NewPool(slots, quota.Shares{})}
	return x
}

// configure divides the slots and the starts at random, among none, some or all owners.
func (x *queueTest) configure() {
	c := quota.Config{Owners: map[string]quota.Quotas{}, Groups: map[string]quota.Group{}}
	sometimes := func(n int) *int {
		if x.rand.IntN(3) > 0 {
			return nil
		}
		v := x.rand.IntN(n)
		return &v
	}
	rate := func() *float64 {
		if x.rand.IntN(4) > 0 {
			return nil
		}
		v := float64(x.rand.IntN(5))
		return &v
	}
	for _, owner := range queueOwners[:x.rand.IntN(len(queueOwners)+1)] {
		c.Owners[owner] = quota.Quotas{MaxSessions: sometimes(4), MinSessions: sometimes(3), StartsPerSecond: rate()}
	}
	if x.rand.IntN(2) == 0 {
		from := x.rand.IntN(len(queueOwners))
		c.Groups["group"] = quota.Group{Members: queueOwners[from:min(from+3, len(queueOwners))],
			Quotas: quota.Quotas{MaxSessions: sometimes(6), StartsPerSecond: rate()}}
	}
	total := float64(x.rand.IntN(3) * x.rand.IntN(20))
	x.q.slots.Divide(c.Sessions())
	x.model.slots.Divide(c.Sessions())
	x.starts, x.model.starts = quota.NewStarts(total, &c), quota.NewStarts(total, &c)
	x.q.reorderAll()
}

func (x *queueTest) take(owner string) error {
	err := x.q.slots.Check(owner)
	if err == nil {
		err = x.starts.Take(owner, x.now)
	}
	if err == nil {
		err = x.q.slots.Take(owner)
		x.q.slotsChanged(owner)
	}
	return err
}

// allot compares the sessions that are given slots, in their order.
func (x *queueTest) allot() {
	x.Helper()
	given, retry := x.q.allot(x.take)
	want, wantRetry := x.model.allot(x.now)
	names := func(places []*place) (all []string) {
		for _, p := range places {
			all = append(all, p.owner+p.why.Error())
		}
		return all
	}
	if !slices.Equal(given, want) || retry != wantRetry {
		x.Fatalf("given %v, retry after %v; want %v, %v", names(given), retry, names(want), wantRetry)
	}
	for _, p := range given {
		x.drop(p)
		x.held = append(x.held, p.owner)
	}
	if again, _ := x.q.allot(x.take); len(again) > 0 {
		x.Fatalf("given %v afterwards", names(again))
	}
	_, _ = x.model.allot(x.now)
}

func (x *queueTest) drop(p *place) {
	x.made = slices.DeleteFunc(x.made, func(other *place) bool { return other == p })
}

// step does one thing that can happen to a queue.
func (x *queueTest) step(i int) {
	x.Helper()
	switch owner := queueOwners[x.rand.IntN(len(queueOwners))]; x.rand.IntN(10) {
	case 0, 1, 2, 3: // a session begins to wait; it may get its position long before it joins
		p := x.q.reserve(&Spec{Owner: owner, QueueTimeout: 1}, errors.New(fmt.Sprint(i)))
		x.made = append(x.made, p)
		if got, want := x.q.add(p), x.model.add(p); got != want {
			x.Fatalf("position %d, want %d", got, want)
		}
		p.noted = x.rand.IntN(10) > 0
	case 4:
		for _, p := range x.made {
			p.noted = true
		}
	case 5, 6:
		if len(x.held) == 0 {
			return
		}
		k := x.rand.IntN(len(x.held))
		x.q.slots.Release(x.held[k])
		x.q.slotsChanged(x.held[k])
		x.model.slots.Release(x.held[k])
		x.held = slices.Delete(x.held, k, k+1)
	case 7: // a session that does not wait
		if x.take(owner) == nil {
			_, _ = x.model.starts.Take(owner, x.now), x.model.slots.Take(owner)
			x.held = append(x.held, owner)
		}
	case 8:
		if len(x.made) == 0 {
			return
		}
		p := x.made[x.rand.IntN(len(x.made))]
		x.q.release(p)
		x.model.remove(p)
		x.drop(p)
	case 9:
		x.now = x.now.Add(time.Duration(x.rand.IntN(500)) * time.Millisecond)
		if x.rand.IntN(5) == 0 {
			x.configure()
		}
	}
	x.allot()
}

// TestQueueAgreesWithModel checks who is given slots, for random changes of everything that decides it.
func TestQueueAgreesWithModel(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			x := newQueueTest(t, rand.New(rand.NewPCG(seed, 1)))
			x.configure()
			for i := range 300 {
				x.step(i)
			}
			for len(x.made) > 0 {
				x.q.release(x.made[0])
				x.drop(x.made[0])
			}
			left := len(x.q.owners)
			for _, owners := range x.q.order {
				left += len(owners)
			}
			if left > 0 || x.q.places.Used() > 0 {
				t.Errorf("%d owners, %d places are left", left, x.q.places.Used())
			}
		})
	}
}

// BenchmarkAllot is one call with one waiting session of each owner.
func BenchmarkAllot(b *testing.B) {
	known := func(n int, q quota.Quotas) quota.Config {
		c := quota.Config{Owners: map[string]quota.Quotas{}}
		for i := range n {
			c.Owners[fmt.Sprint("o", i)] = q
		}
		return c
	}
	for _, c := range []struct {
		name   string
		free   func(n int) int
		quotas *quota.Quotas // of all owners; nil if none is known
		rate   float64       // of starts, which are used up
	}{
		{"no slot is free", func(int) int { return 0 }, nil, 0},
		{"one slot is free", func(int) int { return 1 }, nil, 0},
		{"all slots are free", func(n int) int { return n }, nil, 0},
		{"all have their maximum", func(n int) int { return n }, &quota.Quotas{MaxSessions: new(int)}, 0},
		{"rate", func(n int) int { return n }, nil, 1e-9},
		{"rate and parts", func(n int) int { return n }, &quota.Quotas{}, 1e-9},
	} {
		for _, n := range []int{10, 100, 1000} {
			b.Run(fmt.Sprint(c.name, "/owners=", n), func(b *testing.B) {
				config := quota.Config{}
				if c.quotas != nil {
					config = known(n, *c.quotas)
				}
				slots := quota.NewPool(n, config.Sessions())
				starts, now := quota.NewStarts(c.rate, &config), time.Unix(1000, 0)
				q := newQueue(n, slots)
				wait := func(owner string) {
					p := q.reserve(&Spec{Owner: owner, QueueTimeout: 1}, nil)
					q.add(p)
					p.noted = true
				}
				for i := range n {
					owner := fmt.Sprint("o", i)
					wait(owner)
					for c.rate > 0 && starts.Take(owner, now) == nil {
					}
				}
				for range n - c.free(n) {
					_ = slots.Take("busy")
				}
				take := func(owner string) error {
					err := slots.Check(owner)
					if err == nil {
						err = starts.Take(owner, now)
					}
					if err == nil {
						err = slots.Take(owner)
						q.slotsChanged(owner)
					}
					return err
				}
				for b.Loop() {
					given, _ := q.allot(take)
					b.StopTimer()
					if c.quotas == nil && c.rate == 0 && len(given) != c.free(n) {
						b.Fatalf("%d of %d", len(given), c.free(n))
					}
					for _, p := range given {
						slots.Release(p.owner)
						wait(p.owner)
					}
					b.StartTimer()
				}
			})
		}
	}
}
