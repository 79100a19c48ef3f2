package server

import (
	"time"

	"golang.org/x/time/rate"
)

// OnCheckpoint makes s call f at each checkpoint, with its name. It must be called before Serve.
func (s *Server) OnCheckpoint(f func(name string)) {
	s.onCheckpoint = func(c checkpoint) { f(string(c)) }
}

// SetStartInline sets how long an execute delays the following requests of its connection. It is
// called before Serve.
func (s *Server) SetStartInline(d time.Duration) { s.startInline = d }

// SetHandshakeRate sets how many opening handshakes a principal makes in a second without a delay,
// which is then as long as it has to be. It is called before Serve.
func (s *Server) SetHandshakeRate(perSecond float64) {
	s.handshakes.rate, s.handshakes.wait = rate.Limit(perSecond), time.Minute
}

// ClosedFirst returns how many connections are closed first if others need their places.
func (s *Server) ClosedFirst() (n int) {
	u := s.unauthenticated
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, c := range u.conns {
		if c.closeFirst.Load() {
			n++
		}
	}
	return n
}

// HoldTurns takes all turns of a principal until release is called. No turn is overdue from then on.
func (s *Server) HoldTurns(principal string) (release func()) {
	t := s.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	t.longest = time.Hour
	share := t.shares[principal]
	held := make([]*turn, t.processors)
	for i := range held {
		held[i] = &turn{turns: t, share: share, begun: time.Now()}
	}
	share.running = append(share.running, held...)
	return func() {
		for _, w := range held {
			w.leave()
		}
	}
}

// TurnsRunning returns how many turns of a principal have begun and not ended.
func (s *Server) TurnsRunning(principal string) int {
	s.turns.mu.Lock()
	defer s.turns.mu.Unlock()
	return len(s.turns.shares[principal].running)
}

// TurnsWaiting returns how many turns of a principal wait.
func (s *Server) TurnsWaiting(principal string) int {
	s.turns.mu.Lock()
	defer s.turns.mu.Unlock()
	return len(s.turns.shares[principal].waiting)
}
