//go:build linux

package session

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/session/quota"
)

// TestMaxSessionsIsAtomic checks that concurrent calls of Reserve never take more slots than there
// are.
func TestMaxSessionsIsAtomic(t *testing.T) {
	const slots = 5
	r := registry(t, Options{MaxSessions: slots})
	var most, refused, ran atomic.Int32
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			s, created, err := r.Reserve(sh(fmt.Sprint(i), "exit 0"))
			for n := int32(r.Running()); n > most.Load(); n = int32(r.Running()) {
				most.Store(n)
			}
			var limit *quota.LimitError
			switch {
			case errors.As(err, &limit):
				refused.Add(1)
				if limit.Limit != slots || limit.Used != slots {
					t.Errorf("refused with %+v", limit)
				}
			case err != nil || !created:
				t.Errorf("created %v, %v", created, err)
			default:
				ran.Add(1)
				if err := s.Start(); err != nil {
					t.Error(err)
				}
				<-s.Done()
			}
		})
	}
	all.Wait()
	if most.Load() > slots || ran.Load() < slots || ran.Load()+refused.Load() != 200 {
		t.Errorf("%d at once with %d slots; %d ran, %d were refused", most.Load(), slots, ran.Load(), refused.Load())
	}
	if n := r.Running(); n != 0 {
		t.Errorf("%d slots are in use after all have ended", n)
	}
}

// TestSlotIsReleasedOnce checks that for each way in which a session can end or fail.
func TestSlotIsReleasedOnce(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for name, c := range map[string]struct {
		script string
		what   func(*Spec)
		end    func(*Session)
		cause  Cause
	}{
		"exit":           {"exit 3", nil, nil, Exited},
		"cancel":         {"sleep 60", nil, func(s *Session) { s.End(Canceled, nil); s.End(Canceled, nil) }, Canceled},
		"kill":           {"sleep 60", nil, func(s *Session) { s.End(Canceled, new(time.Duration)) }, Canceled},
		"timeout":        {"sleep 60", func(s *Spec) { s.Timeout = ms(20) }, nil, TimedOut},
		"stream timeout": {"sleep 60", func(s *Spec) { s.StreamTimeout = ms(20) }, nil, StreamTimedOut},
		"disconnect": {"sleep 60", nil, func(s *Session) {
			a, b := s.Attach(AttachOptions{Cursor: cursor}), s.Attach(AttachOptions{Cursor: cursor})
			a.Disconnect()
			b.Disconnect()
		}, Disconnected},
		"spawn failure": {"", func(s *Spec) { s.Program.Argv = []string{"/nowhere"} }, nil, 0},
		"bad directory": {"", func(s *Spec) { s.Program.Dir = "/nowhere" }, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := registry(t, Options{MaxSessions: 1})
			for round := range 3 {
				spec := sh(fmt.Sprint(round), c.script)
				if c.what != nil {
					c.what(&spec)
				}
				s := reserve(t, r, spec)
				if _, _, err := r.Reserve(sh("other", "")); !errors.As(err, new(*quota.LimitError)) {
					t.Fatalf("a second session with one slot: %v", err)
				}
				err := s.Start()
				if c.script == "" {
					if !errors.As(err, new(*process.SpawnError)) || !errors.Is(err, fs.ErrNotExist) {
						t.Errorf("got %v", err)
					}
					within(t, "ready", s.Ready())
					if rec := ended(t, s); rec != nil {
						t.Errorf("a failed session has the record %+v", rec)
					}
					if _, err := r.Find("me", spec.ID); err != ErrNotFound {
						t.Errorf("Find of a failed session: %v", err)
					}
					if v := s.View(); v.State != Ended || v.PID != 0 {
						t.Errorf("View returned %+v", v)
					}
				} else {
					if err != nil {
						t.Fatal(err)
					}
					if c.end != nil {
						c.end(s)
					}
					if rec := ended(t, s); rec.Cause != c.cause {
						t.Errorf("cause %v, want %v", rec.Cause, c.cause)
					}
				}
				if n := r.Running(); n != 0 {
					t.Fatalf("%d slots are in use", n)
				}
			}
		})
	}
}

func TestOwnersSeeTheirOwnSessions(t *testing.T) {
	r := registry(t, Options{})
	spec := sh("mine", "exit 0")
	mine := start(t, r, spec)
	ended(t, mine)
	spec.ID = "newer"
	newer := start(t, r, spec)
	reserve(t, r, Spec{ID: "not started", Owner: "me", Program: process.Spec{Argv: []string{"/nowhere"}}})
	spec.ID, spec.Owner = "yours", "you"
	yours := start(t, r, spec)

	for _, c := range []struct {
		owner string
		list  []*Session
	}{{"me", []*Session{newer, mine}}, {"you", []*Session{yours}}, {"", nil}, {"nobody", nil}} {
		same := cmp.Comparer(func(a, b *Session) bool { return a == b })
		if d := cmp.Diff(append([]*Session{}, c.list...), append([]*Session{}, r.List(c.owner)...), same); d != "" {
			t.Errorf("%q: %s", c.owner, d)
		}
	}
	if s, err := r.Find("me", "mine"); s != mine || err != nil {
		t.Errorf("found %v, %v", s, err)
	}
	for _, id := range []string{"yours", "none", ""} {
		if s, err := r.Find("me", id); s != nil || err != ErrNotFound {
			t.Errorf("found %q: %v, %v", id, s, err)
		}
	}
	s, _ := r.Find("me", "newer")
	ended(t, s)
	s, _, _ = r.Reserve(Spec{ID: "not started", Owner: "me"})
	if s == nil || s.Start() == nil { // releases the slot
		t.Error("a session without a program started")
	}
}

func TestReservingAgain(t *testing.T) {
	r := registry(t, Options{MaxSessions: 1})
	spec := sh("id", "exit 0")
	s := reserve(t, r, spec)
	again := func(when string) {
		t.Helper()
		if other, created, err := r.Reserve(spec); other != s || created || err != nil {
			t.Errorf("%s: %v, created %v, %v", when, other, created, err)
		}
		other := spec
		other.Params = func() string { return "other" }
		if s, _, err := r.Reserve(other); s != nil || err != ErrExists {
			t.Errorf("%s, with other params: %v, %v", when, s, err)
		}
	}
	again("before its start, without a free slot")
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	again("while running")
	ended(t, s)
	again("after its end")
	r.Drain()
	again("while draining")
}

// TestOwnersUseTheSameID checks that the ids of one owner make no difference to another.
func TestOwnersUseTheSameID(t *testing.T) {
	r := registry(t, Options{})
	spec := sh("id", "exit 3")
	mine := start(t, r, spec)
	spec = sh("id", "sleep 60")
	spec.Owner = "you"
	yours := start(t, r, spec)
	if mine == yours {
		t.Fatal("both owners have the same session")
	}
	if rec := ended(t, mine); rec.Exit.Code != 3 {
		t.Errorf("got %+v", rec)
	}
	for owner, want := range map[string]*Session{"me": mine, "you": yours} {
		if s, err := r.Find(owner, "id"); s != want || err != nil {
			t.Errorf("%s found %v, %v", owner, s, err)
		}
	}
	yours.End(Canceled, new(time.Duration))
	ended(t, yours)
}

func TestRetainedSessionsAreBounded(t *testing.T) {
	for _, most := range []int{-1, 1, 3} {
		r := unspooled(t, Options{Retain: time.Hour, MaxRetained: most})
		var ids []string
		for i := range 6 {
			id := fmt.Sprint(i)
			ended(t, start(t, r, sh(id, "exit 0")))
			ids = append([]string{id}, ids...)
		}
		got := []string{}
		for _, s := range r.List("me") {
			got = append(got, s.ID())
		}
		if d := cmp.Diff(ids[:max(most, 0)], got); d != "" {
			t.Errorf("MaxRetained %d: %s", most, d)
		}
	}
}

// TestRetainedSessionsAreBoundedByWeight checks that the newest session is kept regardless of its
// weight.
func TestRetainedSessionsAreBoundedByWeight(t *testing.T) {
	r := unspooled(t, Options{})
	for _, c := range []struct {
		weight int64
		want   []string
	}{
		{maxRetainedBytes / 2, []string{"0"}},
		{maxRetainedBytes / 2, []string{"1", "0"}},
		{1, []string{"2", "1"}},
		{maxRetainedBytes / 4, []string{"3", "2", "1"}},
		{2 * maxRetainedBytes, []string{"4"}},
		{0, []string{"5"}},
		{maxRetainedBytes, []string{"6", "5"}},
	} {
		spec := sh(c.want[0], "exit 0")
		spec.Weight = c.weight
		ended(t, start(t, r, spec))
		got := []string{}
		for _, s := range r.List("me") {
			got = append(got, s.ID())
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("after %s: %s", c.want[0], d)
		}
	}
}

func TestDrain(t *testing.T) {
	r := registry(t, Options{})
	s := start(t, r, sh("one", "sleep 60"))
	if r.Draining() {
		t.Error("draining before Drain")
	}
	idle := r.Drain()
	if r.Drain() != idle || !r.Draining() {
		t.Error("the second Drain returned another channel")
	}
	if _, _, err := r.Reserve(sh("two", "")); err != ErrShuttingDown {
		t.Errorf("got %v", err)
	}
	select {
	case <-idle:
		t.Error("idle while a session runs")
	default:
	}
	s.End(Canceled, nil)
	within(t, "idle", idle)
	ended(t, s)
	within(t, "idle without a session", NewRegistry(Options{}).Drain())
}

func TestShutdownEndsAll(t *testing.T) {
	r := registry(t, Options{})
	var all []*Session
	for i := range 20 {
		all = append(all, start(t, r, sh(fmt.Sprint(i), "sleep 60 & wait")))
	}
	all[0].End(Canceled, nil) // it keeps its cause
	over := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(over)
		r.Shutdown(ctx)
	}()
	if ended(t, all[0]).Cause != Canceled {
		t.Errorf("got %+v", all[0].Record())
	}
	if !poll(patience, r.Draining) {
		t.Error("Shutdown does not drain")
	}
	select {
	case <-over:
		t.Fatal("Shutdown did not wait for the running sessions")
	default:
	}
	cancel()
	within(t, "the shutdown", over)
	for i, s := range all {
		select {
		case <-s.Done():
		default:
			t.Fatalf("session %d has not ended", i)
		}
		if i > 0 && s.Record().Cause != Shutdown {
			t.Errorf("%d: %+v", i, s.Record())
		}
	}
}

// TestKill checks that Kill ends running and ending sessions without their grace.
func TestKill(t *testing.T) {
	r := registry(t, Options{})
	var all []*Session
	for i, script := range []string{
		"trap '' TERM; echo; exec sleep 60",
		"trap '' TERM; echo; exec sleep 60",
		"(trap '' TERM; echo; exec sleep 60) & sleep 60",
		"(trap '' TERM; echo; exec sleep 60 >/dev/null 2>&1) & exit",
	} {
		spec := sh(fmt.Sprint(i), script)
		spec.Grace = time.Hour
		s := start(t, r, spec)
		if i < 3 {
			follow(t, s, cursor).line(0)
		} else {
			awaitEnding(t, s)
		}
		all = append(all, s)
	}
	all[1].End(Canceled, nil)
	all[2].End(Canceled, nil)
	r.Drain()
	r.Kill()
	over := make(chan struct{})
	go func() { r.Shutdown(context.Background()); close(over) }()
	within(t, "the shutdown", over)
	for i, cause := range []Cause{Shutdown, Canceled, Canceled, Exited} {
		if rec := all[i].Record(); rec.Cause != cause || !rec.Escalated || len(rec.Survivors) > 0 {
			t.Errorf("%d: %+v", i, rec)
		}
	}
}

// TestDiscardReleasesTheSlot checks that Discard does so once, and only for a session that was not
// begun.
func TestDiscardReleasesTheSlot(t *testing.T) {
	r := registry(t, Options{MaxSessions: 1})
	s := reserve(t, r, sh("discarded", "exit 0"))
	w := s.Write([]byte("x"), nil, nil, false)
	s.Attach(AttachOptions{Cursor: cursor}).Disconnect()
	for range 2 {
		s.Discard()
	}
	within(t, "ready", s.Ready())
	refused(t, w, "did not start")
	if rec := ended(t, s); rec != nil || r.Running() != 0 || len(r.all()) != 0 {
		t.Errorf("record %+v, %d slots in use, %d sessions", rec, r.Running(), len(r.all()))
	}
	s = start(t, r, sh("started", "exit 3"))
	s.Discard()
	if rec := ended(t, s); rec.Exit.Code != 3 {
		t.Errorf("got %+v", rec)
	}
	s.Discard()
}

// TestZeroOptions checks that a registry with the zero Options runs sessions and keeps them.
func TestZeroOptions(t *testing.T) {
	r := NewRegistry(Options{})
	s := start(t, r, sh("id", "echo x"))
	if rec := ended(t, s); rec.Cause != Exited || tail(s) != "x\n" {
		t.Errorf("got %+v, output %q", rec, tail(s))
	}
	if found, err := r.Find("me", "id"); found != s || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
	o := r.Options()
	want := Options{
		MaxSessions: 100, MaxRetained: 1000, Retain: 5 * time.Minute,
		ReplayBytes: 1 << 20, ReplayTotal: 256 << 20, StartTimeout: 10 * time.Second,
		MaxQueued: 1000, MaxProxied: 1024,
	}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("options %+v, want %+v", o, want)
	}
	r.Shutdown(context.Background())
}
