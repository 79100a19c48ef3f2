//go:build linux

package session

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/stream"
)

func TestForget(t *testing.T) {
	r := registry(t, Options{})
	refused := func(want State) {
		t.Helper()
		var alive *NotEndedError
		if err := r.Forget("me", "id"); !errors.As(err, &alive) || alive.State != want {
			t.Errorf("%v, want that it is %v", err, want)
		}
	}
	s := reserve(t, r, sh("id", "echo out; sleep 60"))
	refused(Starting)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	follow(t, s, cursor).line(0)
	refused(Running)
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	refused(Paused)
	s.End(Canceled, nil)
	ended(t, s)
	f := follow(t, s, cursor)
	if err := r.Forget("you", "id"); err != ErrNotFound {
		t.Errorf("by another owner: %v", err)
	}
	if err := r.Forget("me", "id"); err != nil {
		t.Fatal(err)
	}
	if err := r.Forget("me", "id"); err != ErrNotFound {
		t.Errorf("again: %v", err)
	}
	if _, err := r.Find("me", "id"); err != ErrNotFound || len(r.List("me")) > 0 {
		t.Errorf("found, %v", err)
	}
	if f.whole(); f.output() != "out\n" {
		t.Errorf("the rest of its log is %q", f.output())
	}
	if again, created, err := r.Reserve(sh("id", "echo out; sleep 60")); again == s || !created || err != nil {
		t.Errorf("created %v, %v", created, err)
	} else {
		again.Discard()
	}
	r.empty(t)
}

// empty checks that nothing is left of any session.
func (r *Registry) empty(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.owners) > 0 || r.ended.Len() > 0 || r.weight != 0 || r.slots.Used() > 0 {
		t.Errorf("%d owners, %d retained with the weight %d, %d slots", len(r.owners), r.ended.Len(), r.weight, r.slots.Used())
	}
}

// TestForgetQueued: a session that was not started is forgotten like one that has a record.
func TestForgetQueued(t *testing.T) {
	r := registry(t, Options{MaxSessions: 1})
	first := start(t, r, sh("first", "sleep 60"))
	spec := sh("id", "true")
	spec.QueueTimeout = -1
	s := reserve(t, r, spec)
	s.Begin()
	var alive *NotEndedError
	if err := r.Forget("me", "id"); !errors.As(err, &alive) || alive.State != Queued {
		t.Errorf("%v", err)
	}
	s.End(Canceled, nil)
	within(t, "the end", s.Done())
	if err := r.Forget("me", "id"); err != nil {
		t.Error(err)
	}
	first.End(Canceled, new(time.Duration))
	ended(t, first)
}

// TestForgetFailedStart: a session that keeps its slot, because its start has not returned, has not
// ended.
func TestForgetFailedStart(t *testing.T) {
	r := registry(t, Options{})
	s := reserve(t, r, Spec{ID: "id", Owner: "me", Program: process.Spec{Argv: []string{"/nowhere"}}})
	s.fail(ErrCanceled, false)
	var alive *NotEndedError
	if err := r.Forget("me", "id"); !errors.As(err, &alive) || alive.State != Starting {
		t.Errorf("%v", err)
	}
	if err := r.forget(s); !errors.As(err, &alive) { // as if the start returned just now
		t.Errorf("%v", err)
	}
	s.fail(ErrCanceled, true)
	if err := r.Forget("me", "id"); err != ErrNotFound {
		t.Errorf("%v", err)
	}
}

// TestConcurrentForgets: while sessions with one id are started, read and forgotten, each is
// forgotten once, who has attached reads all of it, and nothing is left.
func TestConcurrentForgets(t *testing.T) {
	r := registry(t, Options{})
	const starts = 30
	var made, gone int
	var mu sync.Mutex
	count := func(n *int) {
		mu.Lock()
		defer mu.Unlock()
		*n++
	}
	forget := func() {
		var alive *NotEndedError
		switch err := r.Forget("me", "id"); {
		case err == nil:
			count(&gone)
		case err != ErrNotFound && !errors.As(err, &alive):
			t.Error(err)
		}
	}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range starts {
				s, created, err := r.Reserve(sh("id", "echo out"))
				switch {
				case err != nil:
					t.Error(err)
					return
				case created:
					count(&made)
					if err := s.Start(); err != nil {
						t.Error(err)
					}
				}
				if i%2 == 0 {
					readAll(t, s)
				}
				<-s.Done()
				forget()
			}
		})
	}
	all.Wait()
	forget()
	if made != gone || made < starts {
		t.Errorf("%d sessions, %d forgotten", made, gone)
	}
	r.empty(t)
}

// readAll attaches to a session and reads its log to the record.
func readAll(t *testing.T, s *Session) {
	ready := make(chan struct{}, 1)
	a := s.Attach(AttachOptions{Cursor: stream.CursorOptions{Ready: func() {
		select {
		case ready <- struct{}{}:
		default:
		}
	}}})
	defer a.Detach()
	output := ""
	for {
		it, ok := a.Next()
		if !ok {
			<-ready
			continue
		}
		if output += string(it.Data); it.Event != nil {
			if _, last := it.Event.(*Record); last {
				break
			}
		}
	}
	if output != "out\n" {
		t.Errorf("read %q", output)
	}
}
