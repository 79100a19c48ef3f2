package server

import (
	"strings"
	"testing"
)

// TestPhasesOnlyAdvance: a shutdown of a connection that is closing or closed has no effect, and
// closing ends the wait for room.
func TestPhasesOnlyAdvance(t *testing.T) {
	s := newState()
	s.update(func(st *connStatus) { st.advance(phaseClosing) })
	s.update(func(st *connStatus) { st.shutdown(closeFrame(1001, "")) })
	if s.status.phase != phaseClosing {
		t.Errorf("a shutdown moved the phase from closing to %d", s.status.phase)
	}
	full := newState()
	full.update(func(st *connStatus) { st.queue(frame(frameText, make([]byte, maxReplyBytes))) })
	done := make(chan bool)
	go func() { done <- full.waitRoom() }()
	full.update(func(st *connStatus) { st.advance(phaseClosed) })
	if <-done {
		t.Error("there is room on a closed connection")
	}
}

// TestStateIsChecked: an update that makes the state inconsistent panics and releases the lock.
func TestStateIsChecked(t *testing.T) {
	for name, change := range map[string]func(*connStatus){
		"reply without a request": func(st *connStatus) { st.removeInFlight(&request{}) },
		"bytes without a request": func(st *connStatus) { st.paramBytes = 1 },
		"bytes without a frame":   func(st *connStatus) { st.controlBytes = 1 },
		"bytes without a batch":   func(st *connStatus) { st.batchBytes = 1 },
		"no close frame":          func(st *connStatus) { st.advance(phaseFlushing) },
	} {
		s := newState()
		func() {
			defer func() {
				if p, _ := recover().(string); !strings.HasPrefix(p, "server: ") {
					t.Errorf("%s: update did not panic: %v", name, p)
				}
			}()
			s.update(change)
		}()
		if !s.mu.TryLock() {
			t.Errorf("%s: the lock is held", name)
		}
	}
}
