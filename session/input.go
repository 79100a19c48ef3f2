package session

// Input describes the reading end of a session's stdin.
type Input struct {
	// Waiting reports whether a process of the tree is blocked until there is input. It is false if
	// that cannot be determined.
	Waiting bool
	// Echo reports whether the terminal echoes its input. It is nil without a terminal, and after
	// the end of the session.
	Echo *bool
}

// Input inspects the tree, as [process.Process.WaitsForInput] does, without the session's lock. In
// a session that is not running, no process waits for input.
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
