package server

// takeSlot takes one of the MaxConnections slots, or returns why it must not.
func (s *Server) takeSlot() (refused string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || s.sessions.Draining():
		return "shutting down"
	case s.slots >= s.o.MaxConnections:
		return "over capacity"
	}
	s.slots++
	s.wg.Add(1)
	return ""
}

// releaseSlot releases a slot, at the end of the goroutine that has it.
func (s *Server) releaseSlot() {
	defer s.wg.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slots--
}

// add adds a connection to those that Announce and Shutdown reach.
func (s *Server) add(c *conn) {
	s.mu.Lock()
	closed := s.closed
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	if closed {
		c.shutdown()
	}
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// all returns the connections.
func (s *Server) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	return list
}
