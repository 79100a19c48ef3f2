package session

// Input is what is known of who reads a session's stdin.
type Input struct {
	// Waiting says that a process of the tree is blocked until there is input; false, that none is, or that it can't be
	// known.
	Waiting bool
	// Echo says whether the terminal echoes what is typed; nil without one, and when the session has ended.
	Echo *bool
}

// Input looks at the tree, as [process.Process.WaitsForInput] does, without the session's lock. Nobody waits for input
// in a session that does not run.
func (s *Session) Input() (in Input) {
	s.mu.Lock()
	p, state := s.status.proc, s.status.state
	s.mu.Unlock()
	if p == nil || state == Ended {
		return in
	}
	if on, err := p.Echo(); err == nil {
		in.Echo = &on
	}
	in.Waiting = state == Running && p.WaitsForInput()
	return in
}
