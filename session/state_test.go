//go:build linux

package session

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/stream"
)

var cursor stream.CursorOptions // reads everything from the beginning and blocks no append

func TestTheRecordIsTheLastEvent(t *testing.T) {
	s := run(t, "echo out; echo err >&2; sleep 60", nil)
	f := follow(t, s, cursor)
	f.until("both lines", func() bool { return len(f.output()) == len("out\nerr\n") })
	for range 2 { // the second call is no error and makes no event
		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
	}
	if v := s.View(); v.State != Paused {
		t.Errorf("the state is %v", v.State)
	}
	for range 2 {
		if err := s.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	s.End(Canceled, nil) // while it is paused
	s.End(Canceled, nil)
	rec := ended(t, s)
	for _, late := range []error{s.Pause(), s.Resume(), failure(s.Signal(syscall.SIGINT))} {
		var state *StateError
		if !errors.As(late, &state) || state.State != Ended {
			t.Errorf("after the end: %v", late)
		}
	}
	s.End(TimedOut, nil)
	want := []string{"started", "paused", "resumed", "paused", "canceled", "completed"}
	if d := cmp.Diff(want, f.whole()); d != "" {
		t.Error(d)
	}
	if _, head := s.Log().Bounds(); rec.Seq != head || f.items[len(f.items)-1].To != head {
		t.Errorf("the record is at %d, the last item at %d, the end at %d", rec.Seq, f.items[len(f.items)-1].To, head)
	}
	if _, more := f.Next(); more {
		t.Error("there is an event after the record")
	}
	for _, it := range f.items {
		if c, ok := it.Event.(Change); ok && (c.PID != rec.PID || c.PGID != rec.PGID) {
			t.Errorf("%+v of %d", c, rec.PID)
		}
	}
}

func TestRecord(t *testing.T) {
	type short struct {
		Cause     Cause
		Code      int
		Signal    syscall.Signal
		Escalated bool
	}
	for name, c := range map[string]struct {
		script string
		end    func(s *Session)
		want   short
	}{
		"exit 0":          {"exit 0", nil, short{Exited, 0, 0, false}},
		"exit 7":          {"exit 7", nil, short{Exited, 7, 0, false}},
		"exit 255":        {"exit 255", nil, short{Exited, 255, 0, false}},
		"its own signal":  {"kill -SEGV $$", nil, short{Exited, -1, syscall.SIGSEGV, false}},
		"signaled":        {"echo; exec sleep 60", func(s *Session) { s.Signal(syscall.SIGINT) }, short{Exited, -1, syscall.SIGINT, false}},
		"canceled":        {"echo; exec sleep 60", func(s *Session) { s.End(Canceled, nil) }, short{Canceled, -1, syscall.SIGTERM, false}},
		"killed":          {"echo; exec sleep 60", func(s *Session) { s.End(Canceled, new(time.Duration)) }, short{Canceled, -1, syscall.SIGKILL, true}},
		"exit on request": {"trap 'exit 9' TERM; echo; while :; do sleep 0.01; done", func(s *Session) { s.End(Canceled, nil) }, short{Canceled, 9, 0, false}},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			s := run(t, c.script, nil)
			if c.end != nil {
				follow(t, s, cursor).line(0)
				c.end(s)
			}
			rec := ended(t, s)
			if d := cmp.Diff(c.want, short{rec.Cause, rec.Exit.Code, rec.Exit.Signal, rec.Escalated}); d != "" {
				t.Error(d)
			}
			if !rec.Exit.Known || rec.ExecutionTime <= 0 || rec.ExecutionTime > time.Since(begin) || len(rec.Survivors) > 0 {
				t.Errorf("got %+v", rec)
			}
			if v := s.View(); v.State != Ended || v.Record != rec || v.PID != rec.PID || rec.PID <= 0 || v.Containment == "" {
				t.Errorf("View returned %+v", v)
			}
		})
	}
}

// TestExecutionTimeBeginsWithTheCommand checks that it is not less than the CPU time.
func TestExecutionTimeBeginsWithTheCommand(t *testing.T) {
	for range 20 {
		rec := ended(t, run(t, ":", nil))
		if cpu := rec.Exit.UserTime + rec.Exit.SystemTime; rec.ExecutionTime < cpu {
			t.Fatalf("execution time %v, CPU time %v", rec.ExecutionTime, cpu)
		}
	}
}

func TestRecordCounts(t *testing.T) {
	s := run(t, "printf 'a\nlong line\nb'; printf xyz >&2", func(o *Spec) { o.Output = stream.ReaderOptions{MaxLine: 4} })
	want := stream.Counts{TruncatedLines: 1, Dropped: 5}
	want.Written[stream.Stdout], want.Written[stream.Stderr] = 13, 3
	if d := cmp.Diff(want, ended(t, s).Counts); d != "" {
		t.Error(d)
	}
	if got := tail(s); got != "a\nlong...\nb" {
		t.Errorf("stdout %q", got)
	}
}

// TestTheFirstCauseCounts checks that the record has the first of several causes.
func TestTheFirstCauseCounts(t *testing.T) {
	const stubborn = "trap '' TERM; echo; exec sleep 60"
	short := 50 * time.Millisecond
	for name, c := range map[string]struct {
		what func(*Spec)
		do   func(s *Session)
		want Cause
	}{
		"cancel, then timeout": {func(o *Spec) { o.Timeout, o.Grace = 200*time.Millisecond, 400*time.Millisecond }, func(s *Session) {
			s.End(Canceled, nil)
		}, Canceled},
		"timeout, then cancel": {func(o *Spec) { o.Timeout, o.Grace = short, short }, func(s *Session) {
			awaitEnding(t, s)
			s.End(Canceled, nil)
		}, TimedOut},
		"cancel, then shutdown": {nil, func(s *Session) {
			s.End(Canceled, &short)
			s.End(Shutdown, nil)
		}, Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			s := run(t, stubborn, c.what)
			follow(t, s, cursor).line(0)
			c.do(s)
			if rec := ended(t, s); rec.Cause != c.want || !rec.Escalated || rec.Exit.Signal != syscall.SIGKILL {
				t.Errorf("got %+v", rec)
			}
		})
	}
	t.Run("exit, then cancel", func(t *testing.T) {
		// The descendant delays the end, so the cancel is between the exit and the record.
		s := run(t, "(trap '' TERM; echo; exec sleep 60) & exit 3", func(o *Spec) { o.Grace = short })
		f := follow(t, s, cursor)
		awaitEnding(t, s)
		f.line(0) // the descendant ignores SIGTERM now
		s.End(Canceled, nil)
		if rec := ended(t, s); rec.Cause != Exited || rec.Exit.Code != 3 || !rec.Escalated {
			t.Errorf("got %+v", rec)
		}
		if d := cmp.Diff([]string{"started", "completed"}, f.whole()); d != "" {
			t.Error(d)
		}
	})
}

func TestEndBeforeStart(t *testing.T) {
	r := registry(t, Options{})
	s := reserve(t, r, sh("id", "sleep 60"))
	for _, err := range []error{s.Pause(), s.Resume(), failure(s.Signal(syscall.SIGINT))} {
		var state *StateError
		if !errors.As(err, &state) || state.State != Starting {
			t.Errorf("before the start: %v", err)
		}
	}
	s.End(Canceled, nil)
	s.End(TimedOut, nil)
	if err := s.Start(); err != ErrCanceled || ended(t, s) != nil || s.Log().Counts() != (stream.Counts{}) {
		t.Errorf("got %v", err)
	}

	s = reserve(t, r, Spec{ID: "none", Program: process.Spec{Argv: []string{"/nowhere"}}})
	a := s.Attach(AttachOptions{Cursor: cursor})
	s.End(Canceled, nil)
	if err := s.Start(); err == nil || ended(t, s) != nil {
		t.Errorf("got %v", err)
	}
	s.End(Canceled, nil)
	a.Disconnect()
}

// TestTheLastDisconnectEndsTheSession checks that a session runs until its last attachment is
// disconnected.
func TestTheLastDisconnectEndsTheSession(t *testing.T) {
	s := run(t, "echo; sleep 60", nil)
	first, second := s.Attach(AttachOptions{Cursor: cursor}), s.Attach(AttachOptions{Cursor: cursor})
	first.Disconnect()
	if err := s.Pause(); err != nil {
		t.Errorf("after the first Disconnect: %v", err)
	}
	third := s.Attach(AttachOptions{Cursor: cursor})
	second.Disconnect()
	if err := s.Resume(); err != nil {
		t.Errorf("after the second Disconnect: %v", err)
	}
	third.Disconnect()
	if rec := ended(t, s); rec.Cause != Disconnected {
		t.Errorf("got %+v", rec)
	}
	s.Attach(AttachOptions{Cursor: cursor}).Disconnect() // an ended session can be attached to
}

func TestSignalReachesTheWholeTree(t *testing.T) {
	s := run(t, `trap 'exit 1' USR1; sh -c 'trap "echo child; exit" USR1; echo ready; while :; do sleep 0.01; done' & wait; wait`, nil)
	f := follow(t, s, cursor)
	f.line(0)
	if _, err := s.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	ended(t, s)
	if got := tail(s); got != "ready\nchild\n" {
		t.Errorf("got %q", got)
	}
}
