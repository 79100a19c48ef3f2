//go:build linux

package session

import (
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/stream"
)

const stubborn = "trap '' TERM; echo; exec sleep 60"

// TestAShorterGraceCounts checks that once the end has begun, a grace can be shortened but not
// lengthened.
func TestAShorterGraceCounts(t *testing.T) {
	t.Parallel()
	long, short := time.Hour, 20*time.Millisecond
	for name, again := range map[string]func(*Session){
		"cancel":     func(s *Session) { s.End(Canceled, &short) },
		"disconnect": func(s *Session) { s.End(Disconnected, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := run(t, stubborn, func(o *Spec) { o.Grace = short })
			follow(t, s, cursor).line(0)
			s.End(Canceled, &long)
			again(s)
			s.End(Canceled, &long)
			if rec := ended(t, s); !rec.Escalated || rec.Cause != Canceled {
				t.Errorf("got %+v", rec)
			}
		})
	}
	t.Run("after the exit", func(t *testing.T) {
		t.Parallel()
		// The shell ignores SIGTERM before the fork, so that the descendant ignores it from its
		// start.
		s := run(t, "trap '' TERM; sleep 60 >/dev/null 2>&1 & exit", func(o *Spec) { o.Grace = long })
		awaitEnding(t, s)
		s.End(Canceled, &short)
		if rec := ended(t, s); !rec.Escalated || rec.Cause != Exited {
			t.Errorf("got %+v", rec)
		}
	})
}

// TestEndTwiceLosesNothing checks that a blocking client gets all output from before the end if the
// end is requested again while the process runs.
func TestEndTwiceLosesNothing(t *testing.T) {
	t.Parallel()
	r := registry(t, Options{ReplayBytes: 64 << 10})
	s := reserve(t, r, sh("x", `trap "" TERM; yes 0123456789 | head -c 3000000; exec sleep 60`))
	// Without a blocking cursor, output from before the attachment could be evicted.
	a := s.Attach(AttachOptions{Cursor: stream.CursorOptions{Block: true, Ready: func() {}}})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if !poll(patience, func() bool { return s.View().Counts.Written[stream.Stdout] >= 48<<10 }) {
		t.Fatal("no output")
	}
	grace := patience
	s.End(Canceled, &grace)
	s.End(Canceled, &grace)
	var got int
	for got < 3000000 {
		it, ok := a.Next()
		if !ok {
			if !poll(patience, func() bool { it, ok = a.Next(); return ok }) {
				t.Fatalf("no more output after %d bytes", got)
			}
		}
		if it.Gap {
			t.Fatalf("lost %d bytes", it.Lost)
		}
		got += len(it.Data)
	}
	s.End(Canceled, new(time.Duration))
	ended(t, s)
}
