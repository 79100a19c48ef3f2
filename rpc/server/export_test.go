package server

// OnCheckpoint makes s call f at each checkpoint, with its name. It must be called before Serve.
func (s *Server) OnCheckpoint(f func(name string)) {
	s.onCheckpoint = func(c checkpoint) { f(string(c)) }
}
