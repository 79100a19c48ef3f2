//go:build linux

package session

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

func shNamed(id, name, script string) Spec {
	spec := sh(id, script)
	spec.Name = name
	return spec
}

// inUse checks that a name is refused because of a session.
func inUse(t *testing.T, r *Registry, name, by string) {
	t.Helper()
	var e *NameError
	s, _, err := r.Reserve(shNamed("another", name, "true"))
	if s != nil {
		s.Discard()
	}
	if s != nil || !errors.As(err, &e) || e.ID != by || e.Name != name {
		t.Errorf("%q: %v, %v", name, s, err)
	}
}

func finds(t *testing.T, r *Registry, owner, name string, want *Session) {
	t.Helper()
	if s, err := r.FindNamed(owner, name); s != want || (err == ErrNotFound) != (want == nil) {
		t.Errorf("%s of %s is %v, want %v: %v", name, owner, s, want, err)
	}
}

func TestNames(t *testing.T) {
	r := registry(t, Options{})
	first := reserve(t, r, shNamed("first", "build", "sleep 60"))
	inUse(t, r, "build", "first")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	inUse(t, r, "build", "first")
	if s, created, err := r.Reserve(shNamed("first", "build", "sleep 60")); s != first || created || err != nil {
		t.Errorf("the same again: %v, %v", created, err)
	}
	spec := shNamed("first", "build", "sleep 60")
	spec.Owner = "you"
	yours := start(t, r, spec)
	other := start(t, r, shNamed("other", "test", "sleep 60"))
	finds(t, r, "me", "build", first)
	finds(t, r, "you", "build", yours)
	finds(t, r, "me", "test", other)
	for _, name := range []string{"", "first", "none"} {
		finds(t, r, "me", name, nil)
	}
	finds(t, r, "nobody", "build", nil)

	first.End(Canceled, nil)
	ended(t, first)
	finds(t, r, "me", "build", first)
	second := start(t, r, shNamed("second", "build", "sleep 60"))
	finds(t, r, "me", "build", second)
	inUse(t, r, "build", "second")
	second.End(Canceled, nil)
	ended(t, second)
	finds(t, r, "me", "build", second)
	for _, gone := range []*Session{second, first} {
		finds(t, r, "me", "build", gone)
		if err := r.Forget("me", gone.ID()); err != nil {
			t.Error(err)
		}
	}
	finds(t, r, "me", "build", nil)
	for _, s := range []*Session{other, yours} {
		s.End(Canceled, nil)
		ended(t, s)
		if err := r.Forget(s.spec.Owner, s.ID()); err != nil {
			t.Error(err)
		}
	}
	r.empty(t)
}

// TestNamesOfFailedStarts: a name is free when a session that was not started is gone, or is kept
// because it has waited for a slot.
func TestNamesOfFailedStarts(t *testing.T) {
	r := registry(t, Options{MaxSessions: 1})
	spec := shNamed("id", "build", "")
	spec.Program.Argv = []string{"/nowhere"}
	s := reserve(t, r, spec)
	if s.Start() == nil {
		t.Fatal("started")
	}
	finds(t, r, "me", "build", nil)
	s = reserve(t, r, spec)
	s.fail(ErrCanceled, false)
	inUse(t, r, "build", "id") // until its start has returned
	s.fail(ErrCanceled, true)
	finds(t, r, "me", "build", nil)

	running := start(t, r, sh("running", "sleep 60"))
	spec.QueueTimeout = -1
	s = reserve(t, r, spec)
	s.Begin()
	inUse(t, r, "build", "id")
	s.End(Canceled, nil)
	within(t, "the end", s.Done())
	finds(t, r, "me", "build", s)
	running.End(Canceled, new(time.Duration))
	ended(t, running)
	next := start(t, r, shNamed("next", "build", "true"))
	finds(t, r, "me", "build", next)
	ended(t, next)
}

// TestNamesOfRetainedSessions: a name finds the newest session that is kept, whichever are removed.
func TestNamesOfRetainedSessions(t *testing.T) {
	r := unspooled(t, Options{MaxRetained: 2})
	var all []*Session
	for i := range 3 {
		s := start(t, r, shNamed(fmt.Sprint(i), "build", "true"))
		ended(t, s)
		all = append(all, s)
		finds(t, r, "me", "build", s)
	}
	if err := r.Forget("me", "2"); err != nil {
		t.Fatal(err)
	}
	finds(t, r, "me", "build", all[1])
	ended(t, start(t, r, sh("3", "true")))
	ended(t, start(t, r, sh("4", "true")))
	finds(t, r, "me", "build", nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.owners["me"].names); n > 0 {
		t.Errorf("%d names", n)
	}
}

// TestConcurrentNames: of concurrent starts with one name exactly one wins as long as it runs, and
// the others learn its id.
func TestConcurrentNames(t *testing.T) {
	r := registry(t, Options{})
	for round := range 30 {
		var mu sync.Mutex
		var won []*Session
		refused := map[string]int{}
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				s, _, err := r.Reserve(shNamed(fmt.Sprint(round, i), "build", "sleep 60"))
				mu.Lock()
				defer mu.Unlock()
				var e *NameError
				switch {
				case err == nil:
					won = append(won, s)
				case errors.As(err, &e):
					refused[e.ID]++
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(won) != 1 || refused[won[0].ID()] != 7 {
			t.Errorf("%d won, refused because of %v", len(won), refused)
		}
		finds(t, r, "me", "build", won[0])
		for _, s := range won {
			s.Discard()
		}
	}
	r.empty(t)
}

// TestNameIsFreeWithTheRecord: who has seen the end of a session can use its name at once.
func TestNameIsFreeWithTheRecord(t *testing.T) {
	r := registry(t, Options{})
	for i := range 20 {
		s := start(t, r, shNamed(fmt.Sprint(i), "build", "true"))
		follow(t, s, cursor).whole()
	}
}
