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
