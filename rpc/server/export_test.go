package server

import "time"

// OnCheckpoint makes s call f at each checkpoint, with its name. It must be called before Serve.
func (s *Server) OnCheckpoint(f func(name string)) {
	s.onCheckpoint = func(c checkpoint) { f(string(c)) }
}

// SetStartInline sets how long an execute delays the following requests of its connection. It is
// called before Serve.
func (s *Server) SetStartInline(d time.Duration) { s.startInline = d }
