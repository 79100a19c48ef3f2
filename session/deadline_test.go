//go:build linux

package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runnel-rpc/runnel/stream"
)

// These tests check deadlines with real processes. faketime_test.go checks them exactly, in fake
// time.

// span is a deadline that is long enough for activity to restart it in time on a busy machine.
const span = 600 * time.Millisecond

func TestStreamTimeoutEndsTheTree(t *testing.T) {
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

func TestOutputRestartsTheStreamTimeout(t *testing.T) {
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
}

// TestStreamTimeoutAfterABlockingClient checks that a client that blocks the process loses no
// output.
func TestStreamTimeoutAfterABlockingClient(t *testing.T) {
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
		t.Fatal("the log does not block")
	}
	f.whole()
	if rec := ended(t, s); rec.Cause != StreamTimedOut || rec.Counts.Lost != 0 || len(f.output()) != 1_000_000 {
		t.Errorf("got %+v and %d bytes", rec, len(f.output()))
	}
}

// TestTimeout checks that output does not restart the timeout.
func TestTimeout(t *testing.T) {
	t.Parallel()
	s := run(t, "while :; do echo; sleep 0.01; done", func(o *Spec) { o.Timeout, o.StreamTimeout = span/4, span })
	if rec := ended(t, s); rec.Cause != TimedOut || rec.ExecutionTime < span/5 {
		t.Errorf("got %+v", rec)
	}
}
