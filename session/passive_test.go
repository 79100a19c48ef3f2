//go:build linux

package session

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnel-rpc/runnel/stream"
)

// watch attaches passively and counts the calls of OnDetached.
func watch(s *Session, detached *atomic.Int32) *Attachment {
	return s.Attach(AttachOptions{
		Cursor:     stream.CursorOptions{Ready: func() {}},
		Passive:    true,
		OnDetached: func() { detached.Add(1) },
	})
}

// TestPassiveAttachment checks that a passive attachment neither ends the session by its
// disconnect, nor is ended by Take, nor ends others by its own Take.
func TestPassiveAttachment(t *testing.T) {
	s := run(t, "read x", func(spec *Spec) { spec.Program.Stdin = true })
	var detached atomic.Int32
	taken := 0
	passive := watch(s, &detached)
	owner := s.Attach(AttachOptions{Cursor: stream.CursorOptions{Ready: func() {}}, OnDetached: func() { taken++ }})
	passive.Take()
	owner.Take()
	if n := detached.Load(); n != 0 || taken != 0 {
		t.Errorf("the passive one was detached %d times, the other %d times", n, taken)
	}
	passive.Disconnect()
	if v := s.View(); v.State != Running {
		t.Errorf("after the passive disconnect the session is %v", v.State)
	}
	watch(s, &detached)
	owner.Disconnect() // the last one that is not passive
	if r := ended(t, s); r.Cause != Disconnected {
		t.Errorf("%+v", r)
	}
}

// TestPassiveAttachmentLingers checks that a session lingers although it has a passive attachment.
func TestPassiveAttachmentLingers(t *testing.T) {
	s := run(t, "exec sleep 1000", func(spec *Spec) { spec.Keep, spec.Linger = true, 50*time.Millisecond })
	var detached atomic.Int32
	passive := watch(s, &detached)
	a := s.Attach(AttachOptions{Cursor: stream.CursorOptions{Ready: func() {}}})
	a.Detach()
	if r := ended(t, s); r.Cause != Disconnected {
		t.Errorf("%+v", r)
	}
	passive.Disconnect()
}

// TestAFailedStartDetachesWatchers checks that a failed start detaches passive attachments too.
func TestAFailedStartDetachesWatchers(t *testing.T) {
	spec := sh("a", "")
	spec.Program.Argv = []string{"/nonexistent"}
	s := reserve(t, registry(t, Options{}), spec)
	var detached atomic.Int32
	watch(s, &detached)
	// OnDetached may be called after Start has returned.
	if err := s.Start(); err == nil || !poll(patience, func() bool { return detached.Load() == 1 }) {
		t.Errorf("%v, detached %d times", err, detached.Load())
	}
}

// TestWatchingTakesNoTurns checks that the output of a session is not slowed down by passive
// attachments, while another owner is active too.
func TestWatchingTakesNoTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(Options{ReplayTotal: 1 << 30})
		s, f := fakeSession(t, r, "id", nil)
		r.budget.Open("other")
		s.log.Append(stream.Piece{Kind: stream.Stdout, Data: []byte("output")})
		var detach []func()
		received := func(passive bool) bool {
			a := s.Attach(AttachOptions{Passive: passive, Cursor: stream.CursorOptions{Ready: func() {}}})
			detach = append(detach, func() { a.Detach() }) // not before, since it gives back the turn
			for {
				it, ok := a.Next()
				if !ok || it.Kind == stream.Stdout {
					return ok
				}
			}
		}
		if !received(true) || received(true) {
			t.Error("passive attachments do not take turns")
		}
		if !received(false) {
			t.Error("the output waits for passive attachments")
		}
		for _, f := range detach {
			f()
		}
		f.end()
		<-s.Done()
		r.Shutdown(t.Context())
	})
}
