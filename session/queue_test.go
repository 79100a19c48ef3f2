//go:build linux

package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/session/quota"
	"github.com/runnel-rpc/runnel/stream"
)

// waitsFor returns the spec of an owner's session that waits for d. Its start fails, since it has no
// program.
func waitsFor(owner, id string, d time.Duration) Spec {
	return Spec{ID: id, Owner: owner, QueueTimeout: d}
}

// refusedAtStart returns a program whose start calls begins and fails, which gives its slot to the next
// session.
func refusedAtStart(begins func()) process.Spec {
	return process.Spec{Argv: []string{"/bin/true"}, Check: func(process.Opened) error {
		begins()
		return errors.New("refused")
	}}
}

// startOrder is the order in which sessions begin. It may be used concurrently.
type startOrder struct {
	mu    sync.Mutex
	begun []string
}

// waitsFor returns a session that waits for a slot, and whose start is noted and fails. Its owner is the
// first character of the id.
func (o *startOrder) waitsFor(id string) Spec {
	spec := waitsFor(id[:1], id, time.Hour)
	spec.Program = refusedAtStart(func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.begun = append(o.begun, id)
	})
	return spec
}

// next returns the sessions that have begun since the last call.
func (o *startOrder) next() (begun []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	begun, o.begun = o.begun, nil
	return begun
}

// slotFor takes a slot that release gives back.
func slotFor(t *testing.T, r *Registry, owner, id string) (release func()) {
	t.Helper()
	s := reserve(t, r, Spec{ID: id, Owner: owner})
	if s.Waits() {
		t.Fatalf("%s has no slot", id)
	}
	return s.Discard
}

// checkEmpty shuts the registry down, and checks that all slots and places are free, and that only ended
// sessions are left.
func checkEmpty(t *testing.T, r *Registry) {
	t.Helper()
	r.Shutdown(context.Background())
	q := r.queue
	if r.slots.Used() != 0 || q.places.Used() != 0 || len(q.owners) != 0 || q.retry != nil || len(r.all()) != r.ended.Len() {
		t.Errorf("%d slots, %d places, %d waiting owners, retry %v, %d sessions, %d of them ended, are left",
			r.slots.Used(), q.places.Used(), len(q.owners), q.retry, len(r.all()), r.ended.Len())
	}
}

// TestQueueOrder checks that slots go to the owner with the fewest, and to the oldest session of an
// owner.
func TestQueueOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order startOrder
		r := NewRegistry(Options{MaxSessions: 3})
		var slots []func()
		for i := range 3 {
			slots = append(slots, slotFor(t, r, "a", fmt.Sprint("slot", i)))
		}
		for _, id := range []string{"a1", "a2", "a3", "b1", "c1", "b2"} {
			s := reserve(t, r, order.waitsFor(id))
			s.Begin()
			if v := s.View(); v.State != Queued || !v.Started.IsZero() {
				t.Fatalf("%+v", v)
			}
		}
		if got := ids(r.List("a")); strings.Join(got, " ") != "a3 a2 a1" {
			t.Errorf("listed %v", got)
		}
		slots[0]()
		synctest.Wait()
		if begun, want := order.next(), []string{"b1", "c1", "b2", "a1", "a2", "a3"}; !slices.Equal(begun, want) {
			t.Errorf("got %v, want %v", begun, want)
		}
		slots[1]()
		slots[2]()
		checkEmpty(t, r)
	})
}

// TestQueueFollowsSlots checks that slots count which an owner takes or releases while its sessions wait.
func TestQueueFollowsSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order startOrder
		r := NewRegistry(Options{MaxSessions: 3})
		reserved := func(id string) *Session {
			return reserve(t, r, order.waitsFor(id))
		}
		full := []func(){slotFor(t, r, "x", "1"), slotFor(t, r, "x", "2"), slotFor(t, r, "x", "3")}
		b := reserved("b1")
		full[0]()
		r.enqueue(b)
		slots := []func(){slotFor(t, r, "b", "taken"), full[1], full[2]}
		if err := r.join(b); err != nil {
			t.Error(err)
		}
		reserved("a1").Begin()
		reserved("x1").Begin()
		slots[1]() // a has 0, and b, whose turn is longer ago, and x have 1 each: x has released one
		synctest.Wait()
		if begun, want := order.next(), []string{"a1", "b1", "x1"}; !slices.Equal(begun, want) {
			t.Errorf("got %v, want %v", begun, want)
		}
		slots[1] = slotFor(t, r, "y", "taken")
		reserved("y1").Begin()
		reserved("b2").Begin()
		slots[0]() // b has 0, y has 1
		synctest.Wait()
		if begun, want := order.next(), []string{"b2", "y1"}; !slices.Equal(begun, want) {
			t.Errorf("got %v, want %v", begun, want)
		}
		slots[1]()
		slots[2]()
		checkEmpty(t, r)
	})
}

// TestQueueSaysWhyThereIsNoSlot checks the error of a session that leaves the queue, if it is another one
// than when it was made.
func TestQueueSaysWhyThereIsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(Options{MaxSessions: 1, StartsPerSecond: 1e-3})
		release := slotFor(t, r, "a", "slot")
		s := reserve(t, r, waitsFor("a", "waits", 10*seconds))
		s.Begin()
		release()
		<-s.Done()
		var rate *quota.RateError
		if err := s.View().Failure; !errors.As(err, &rate) || rate.RetryAfter <= 0 {
			t.Errorf("%+v", err)
		}
		checkEmpty(t, r)
	})
}

// TestQueueEnds checks how a session leaves the queue without a slot.
func TestQueueEnds(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Spec)
		do     func(r *Registry, s *Session)
		want   error // nil is a *quota.LimitError
		after  time.Duration
	}{
		"timeout":    {nil, func(*Registry, *Session) {}, nil, 10 * seconds},
		"cancel":     {nil, func(_ *Registry, s *Session) { pass(3); s.Cancel(nil, 0) }, ErrCanceled, 3 * seconds},
		"drain":      {nil, func(r *Registry, _ *Session) { pass(3); r.Drain() }, ErrShuttingDown, 3 * seconds},
		"EndWhere":   {nil, func(r *Registry, _ *Session) { r.EndWhere(func(*Session) bool { return true }) }, ErrCanceled, 0},
		"disconnect": {nil, func(_ *Registry, s *Session) { s.Attach(AttachOptions{}).Disconnect() }, ErrCanceled, 0},
		"disconnect, keep": {func(o *Spec) { o.Keep = true }, func(_ *Registry, s *Session) {
			s.Attach(AttachOptions{}).Disconnect()
		}, nil, 10 * seconds},
		"linger": {func(o *Spec) { o.Keep, o.Linger = true, 4*seconds }, func(_ *Registry, s *Session) {
			pass(1)
			s.Attach(AttachOptions{}).Disconnect()
		}, ErrCanceled, 5 * seconds},
		"without a limit": {func(o *Spec) { o.QueueTimeout = -1 }, func(_ *Registry, s *Session) {
			pass(1e6)
			s.End(Canceled, nil)
		}, ErrCanceled, 1e6 * seconds},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ends := 0
				r := NewRegistry(Options{MaxSessions: 1, OnEnded: func(*Session) { ends++ }})
				release := slotFor(t, r, "a", "slot")
				spec := waitsFor("a", "waiting", 10*seconds)
				if c.change != nil {
					c.change(&spec)
				}
				s := reserve(t, r, spec)
				log := s.Cursor(stream.CursorOptions{Notes: true})
				begin := time.Now()
				s.Begin()
				s.Discard() // without effect after Begin
				c.do(r, s)
				<-s.Done()
				<-s.Ready()
				if d := time.Since(begin); d != c.after {
					t.Errorf("after %v, want %v", d, c.after)
				}
				failure := s.View().Failure
				if c.want != nil && failure != c.want || c.want == nil && !errors.As(failure, new(*quota.LimitError)) {
					t.Errorf("failed with %v", failure)
				}
				var notes []any
				for it, ok := log.Next(); ok; it, ok = log.Next() {
					notes = append(notes, it.Event)
				}
				if len(notes) != 2 || notes[0] != (Waiting{1}) || notes[1].(*Failed).Err != failure {
					t.Errorf("notes %v", notes)
				}
				if found, err := r.Find("a", "waiting"); found != s || ends != 1 || !s.View().FailureKept {
					t.Errorf("found %v, ended %d times, %+v", err, ends, s.View())
				}
				if again, created, err := r.Reserve(spec); again != s || created || err != nil {
					t.Errorf("reserved again: created %v, %v", created, err)
				}
				release()
				pass(300) // Options.Retain
				synctest.Wait()
				if _, err := r.Find("a", "waiting"); err != ErrNotFound {
					t.Errorf("found %v", err)
				}
				checkEmpty(t, r)
			})
		})
	}
}

// TestQueueBeforeBegin checks that a session which was reserved is given no slot, and can be discarded
// or canceled.
func TestQueueBeforeBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(Options{MaxSessions: 1})
		release := slotFor(t, r, "a", "slot")
		discarded := reserve(t, r, waitsFor("a", "discarded", time.Hour))
		canceled := reserve(t, r, waitsFor("a", "canceled", time.Hour))
		drained := reserve(t, r, waitsFor("a", "drained", time.Hour))
		release()
		synctest.Wait()
		for _, s := range []*Session{discarded, canceled, drained} {
			if s.View().State != Queued {
				t.Errorf("%s is %v", s.ID(), s.View().State)
			}
		}
		discarded.Discard()
		canceled.End(Canceled, nil)
		canceled.Begin()
		r.Drain()
		drained.Begin()
		for s, want := range map[*Session]error{discarded: errDiscarded, canceled: ErrCanceled, drained: ErrShuttingDown} {
			<-s.Done()
			if got := s.View().Failure; got != want {
				t.Errorf("%s: %v", s.ID(), got)
			}
		}
		checkEmpty(t, r)
	})
}

// TestQueueBounds checks that the queue is bounded in sessions and bytes, and divided among owners.
func TestQueueBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(Options{MaxSessions: 1, MaxQueued: 8})
		if err := r.SetQuotas(quota.Config{Owners: map[string]quota.Quotas{"a": {}, "b": {}}}); err != nil {
			t.Fatal(err)
		}
		release := slotFor(t, r, "a", "slot")
		fill := func(owner string, weight int64) (n int) {
			for {
				spec := waitsFor(owner, fmt.Sprint(owner, weight, n), time.Hour)
				spec.Weight = weight
				s, _, err := r.Reserve(spec)
				if err != nil {
					if !errors.As(err, new(*quota.LimitError)) {
						t.Error(err)
					}
					return n
				}
				s.Begin()
				n++
			}
		}
		if n := fill("a", 2*queuedBytes); n != 2 { // 3 places each, of the 6 it may have
			t.Errorf("a has %d large ones", n)
		}
		if n := fill("b", 0); n != 2 {
			t.Errorf("b has %d", n)
		}
		release()
		synctest.Wait()
		checkEmpty(t, r)
	})
}

// TestQueueWaitsForTheRate checks that sessions begin as the rate of starts permits.
func TestQueueWaitsForTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(Options{StartsPerSecond: 2})
		begin := time.Now()
		var mu sync.Mutex
		var got []string
		for i := range 5 {
			s := reserve(t, r, waitsFor("a", fmt.Sprint(i), time.Hour))
			s.Begin()
			note := func() {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, time.Since(begin).String())
			}
			if _, deferred := s.AfterStart(note); !deferred { // it has failed already
				note()
			}
			if now := s.View().State; (now == Queued) != (i >= 2) {
				t.Errorf("%d is %v", i, now)
			}
		}
		if err := failure(r.reserved(Spec{ID: "impatient", Owner: "a"})); !errors.As(err, new(*quota.RateError)) {
			t.Error(err)
		}
		pass(2)
		synctest.Wait()
		if want := []string{"0s", "0s", "500ms", "1s", "1.5s"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		checkEmpty(t, r)
	})
}

// TestQueueIsAheadOfNewSessions checks that a new session does not take the start that the rate permits
// to one that waits, before the timer for that has fired.
func TestQueueIsAheadOfNewSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(Options{StartsPerSecond: 1})
		slotFor(t, r, "a", "first")()
		s := reserve(t, r, waitsFor("a", "waits", time.Hour))
		s.Begin()
		r.queue.retry.Stop()
		pass(1)
		if err := failure(r.reserved(Spec{ID: "new", Owner: "a"})); !errors.As(err, new(*quota.RateError)) {
			t.Error(err)
		}
		<-s.Done()
		if s.View().Started.IsZero() {
			t.Errorf("%+v", s.View())
		}
		checkEmpty(t, r)
	})
}

// TestQueueIsLeftOnce checks that a session which has left the queue, and has not failed yet, is given no
// slot.
func TestQueueIsLeftOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(Options{MaxSessions: 1})
		release := slotFor(t, r, "a", "slot")
		s := reserve(t, r, waitsFor("a", "waits", time.Hour))
		s.Begin()
		left, why := r.leave(s)
		again, _ := r.leave(s)
		if !left || again || !errors.As(why, new(*quota.LimitError)) {
			t.Errorf("left %v, again %v, because of %v", left, again, why)
		}
		release()
		if r.Running() != 0 {
			t.Error("it was given a slot")
		}
		s.fail(why, true)
		checkEmpty(t, r)
	})
}

// reserved is Reserve without the session.
func (r *Registry) reserved(spec Spec) (bool, error) {
	_, created, err := r.Reserve(spec)
	return created, err
}

// TestConcurrentSessionsHaveTheirOwnPositions checks that each session of an owner has another position,
// and that they are given slots in that order, if all of them begin to wait at once. The registry's lock
// is not held while the notes with the positions are appended, since each append waits for the others.
func TestConcurrentSessionsHaveTheirOwnPositions(t *testing.T) {
	const sessions = 20
	var mu sync.Mutex
	var begun []int // positions
	r := registry(t, Options{MaxSessions: 1})
	release := slotFor(t, r, "a", "slot")
	var appending atomic.Int32
	allAppend := make(chan struct{})
	var beginning sync.WaitGroup
	var all []*Session
	for i := range sessions {
		var log *stream.Cursor
		spec := waitsFor("a", fmt.Sprint(i), time.Hour)
		spec.Program = refusedAtStart(func() {
			mu.Lock()
			defer mu.Unlock()
			it, _ := log.Next()
			begun = append(begun, it.Event.(Waiting).Position)
		})
		s := reserve(t, r, spec)
		all = append(all, s)
		log = s.Cursor(stream.CursorOptions{Notes: true, Ready: func() {
			if appending.Add(1) == sessions {
				close(allAppend)
			}
			select {
			case <-allAppend:
			case <-time.After(patience):
				t.Error("an append does not return while another one waits")
			}
		}})
		if _, ok := log.Next(); ok {
			t.Error("an event before the first")
		}
	}
	for _, s := range all {
		beginning.Go(s.Begin)
	}
	beginning.Wait()
	release()
	for _, s := range all {
		<-s.Done()
	}
	mu.Lock()
	defer mu.Unlock()
	if len(begun) != sessions {
		t.Errorf("%d sessions have begun", len(begun))
	}
	for i, got := range begun {
		if got != i+1 {
			t.Fatalf("positions %v", begun)
		}
	}
}

// TestSessionGetsNoSlotBeforeItsNote checks that a session which has a position, and whose log does not
// say so yet, is given no slot and does not leave the queue, and that those behind it wait for it.
func TestSessionGetsNoSlotBeforeItsNote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(Options{MaxSessions: 1})
		release := slotFor(t, r, "a", "slot")
		first, second := reserve(t, r, waitsFor("a", "first", time.Hour)), reserve(t, r, waitsFor("a", "second", time.Hour))
		canceled := reserve(t, r, waitsFor("b", "canceled", time.Hour))
		if n := r.enqueue(first); n != 1 {
			t.Errorf("position %d", n)
		}
		r.enqueue(canceled)
		second.Begin()
		release()
		canceled.End(Canceled, nil)
		synctest.Wait()
		for _, s := range []*Session{first, second, canceled} {
			if s.View().State != Queued || r.Running() != 0 {
				t.Errorf("%s is %v, %d run", s.ID(), s.View().State, r.Running())
			}
		}
		for _, s := range []*Session{first, canceled} {
			if err := r.join(s); err != nil {
				t.Error(err)
			}
		}
		for _, s := range []*Session{first, second, canceled} {
			<-s.Done()
		}
		if a, b := first.View().Started, second.View().Started; a.IsZero() || b.IsZero() {
			t.Errorf("started at %v and %v", a, b)
		}
		checkEmpty(t, r)
	})
}

// TestQueueGetsNewQuotas checks that a session begins when quotas permit it.
func TestQueueGetsNewQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(Options{})
		none := 0
		if err := r.SetQuotas(quota.Config{Owners: map[string]quota.Quotas{"a": {MaxSessions: &none}}}); err != nil {
			t.Fatal(err)
		}
		s := reserve(t, r, waitsFor("a", "1", -1))
		s.Begin()
		pass(1000)
		if v := s.View(); v.State != Queued {
			t.Errorf("%+v", v)
		}
		if err := r.SetQuotas(quota.Config{}); err != nil {
			t.Fatal(err)
		}
		<-s.Done()
		if v := s.View(); v.Started.IsZero() {
			t.Errorf("%+v", v)
		}
		checkEmpty(t, r)
	})
}

// TestQueuedSessionRuns checks a real command that has waited: its deadline begins with its start.
func TestQueuedSessionRuns(t *testing.T) {
	r := registry(t, Options{MaxSessions: 1})
	first := start(t, r, sh("first", "exec sleep 1000"))
	spec := sh("second", "echo hi")
	spec.QueueTimeout = -1
	s := reserve(t, r, spec)
	f := follow(t, s, stream.CursorOptions{Notes: true})
	s.Begin()
	f.until("the note", func() bool { return len(f.items) > 0 && f.items[0].Event == Waiting{1} })
	first.End(Canceled, new(time.Duration))
	if got := strings.Join(f.whole(), " "); got != "started completed" || f.output() != "hi\n" {
		t.Errorf("%s, output %q", got, f.output())
	}
}

// TestQueueRaces lets slots, cancels, timeouts and new quotas meet. No slot and no place may be lost or
// given twice, and every session must end once.
func TestQueueRaces(t *testing.T) {
	var mu sync.Mutex
	ends := map[string]int{}
	r := registry(t, Options{MaxSessions: 4, MaxQueued: 50, OnEnded: func(s *Session) {
		mu.Lock()
		defer mu.Unlock()
		ends[s.ID()]++
	}})
	var wg sync.WaitGroup
	var made sync.Map
	for worker := range 8 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			for i := range 300 {
				owner := fmt.Sprint("o", worker%3)
				id := fmt.Sprint(worker, "-", i)
				if hold, _, err := r.Reserve(Spec{ID: "slot" + id, Owner: owner}); err == nil {
					held := time.Duration(random.IntN(300)) * time.Microsecond
					wg.Go(func() {
						time.Sleep(held) // any time will do
						hold.Discard()
					})
				}
				s, _, err := r.Reserve(waitsFor(owner, id, time.Duration(1+random.IntN(500))*time.Microsecond))
				if err != nil {
					continue
				}
				made.Store(id, true)
				do := random.IntN(4)
				if do == 0 {
					wg.Go(func() { s.Cancel(nil, 0) })
				}
				if do == 1 && random.IntN(4) == 0 {
					s.Discard()
				} else {
					s.Begin()
				}
				if do == 2 {
					s.Attach(AttachOptions{}).Disconnect()
				}
				if i%50 == 0 {
					_ = r.SetQuotas(quota.Config{Owners: map[string]quota.Quotas{owner: {}}})
				}
				<-s.Done()
			}
		})
	}
	wg.Wait()
	made.Range(func(id, _ any) bool {
		if n := ends[id.(string)]; n != 1 {
			t.Errorf("%v ended %d times", id, n)
		}
		return true
	})
	checkEmpty(t, r)
}
