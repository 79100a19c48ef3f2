//go:build linux

package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runnel-rpc/runnel/stream"
)

// A span is long enough for what puts it off to come in time on a busy machine.
const span = 600 * time.Millisecond

// Fault 3: a silent command is ended, the whole tree of it, and the record says why.
func TestFault3StreamDeadlineEndsASilentTree(t *testing.T) {
	t.Parallel()
	s := run(t, "sh -c 'echo $$; exec sleep 60' & wait", func(o *Spec) { o.StreamTimeout = span })
	f := follow(t, s, cursor)
	child := f.pid(0)
	rec := ended(t, s)
	if d := cmp.Diff([]string{"started", "completed"}, f.whole()); d != "" {
		t.Error(d)
	}
	if rec.Cause != StreamTimedOut || rec.ExecutionTime < span*9/10 || alive(child) {
		t.Errorf("got %+v; child alive: %v", rec, alive(child))
	}
}

func TestFault3StreamDeadlineIsPutOff(t *testing.T) {
	t.Parallel()
	t.Run("by output", func(t *testing.T) {
		t.Parallel()
		var all []*Session
		for _, to := range []string{"", ">&2"} {
			const script = "for i in 1 2 3 4 5 6 7 8; do sleep 0.12; echo %s; done; exec sleep 60"
			all = append(all, run(t, fmt.Sprintf(script, to), func(o *Spec) { o.StreamTimeout = span }))
		}
		for _, s := range all {
			if rec := ended(t, s); rec.Cause != StreamTimedOut || rec.ExecutionTime < 8*span/5+span/2 {
				t.Errorf("got %+v", rec)
			}
		}
	})
	t.Run("by what it reads", func(t *testing.T) {
		t.Parallel()
		s := run(t, "exec cat >/dev/null", func(o *Spec) { o.StreamTimeout, o.Program.Stdin = span, true })
		begin := time.Now()
		for time.Since(begin) < 8*span/5 {
			if err := write(t, s, "x").Err; err != nil {
				t.Fatal(err)
			}
			time.Sleep(span / 10)
		}
		if rec := ended(t, s); rec.Cause != StreamTimedOut || rec.ExecutionTime < 8*span/5+span/2 {
			t.Errorf("got %+v", rec)
		}
	})
}

func TestFault3StreamDeadlineIsHeld(t *testing.T) {
	t.Parallel()
	t.Run("while paused", func(t *testing.T) {
		t.Parallel()
		testHeldWhilePaused(t, StreamTimedOut, func(o *Spec) { o.StreamTimeout = span / 2 })
	})
	t.Run("while a client holds up the process", func(t *testing.T) {
		t.Parallel()
		spec := sh("session", "head -c 1000000 /dev/zero; exec sleep 60")
		spec.StreamTimeout = span
		s := reserve(t, registry(t, Options{ReplayBytes: 64 << 10}), spec)
		f := follow(t, s, stream.CursorOptions{Block: true})
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		blocked := func() bool {
			s.blocked.mu.Lock()
			defer s.blocked.mu.Unlock()
			return s.blocked.blocked
		}
		if !poll(patience, blocked) {
			t.Fatal("not held up")
		}
		time.Sleep(2 * span)
		if v := s.View(); v.State != Running {
			t.Fatalf("it is %v while it is held up", v.State)
		}
		f.whole()
		if rec := ended(t, s); rec.Cause != StreamTimedOut || rec.Counts.Lost != 0 || len(f.output()) != 1_000_000 {
			t.Errorf("got %+v and %d bytes", rec, len(f.output()))
		}
	})
}

func TestTimeoutIsHeldWhilePaused(t *testing.T) {
	t.Parallel()
	testHeldWhilePaused(t, TimedOut, func(o *Spec) { o.Timeout = span / 2 })
}

func testHeldWhilePaused(t *testing.T, cause Cause, what func(*Spec)) {
	s := run(t, "exec sleep 60", what)
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(span)
	if v := s.View(); v.State != Paused {
		t.Fatalf("it is %v after its pause", v.State)
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if rec := ended(t, s); rec.Cause != cause || rec.ExecutionTime < span+span/4 {
		t.Errorf("got %+v", rec)
	}
}

// Output does not put off the running time.
func TestTimeout(t *testing.T) {
	t.Parallel()
	s := run(t, "while :; do echo; sleep 0.01; done", func(o *Spec) { o.Timeout, o.StreamTimeout = span/4, span })
	if rec := ended(t, s); rec.Cause != TimedOut || rec.ExecutionTime < span/5 {
		t.Errorf("got %+v", rec)
	}
}
