package server

import "github.com/runnel-rpc/runnel/session/quota"

// SetQuotas divides the sessions and the connections of the server among principals. Connections
// and sessions that exist continue, and a principal that has more of something than it now may have
// keeps it. If the guaranteed sessions exceed the largest number of sessions, it returns an error
// and changes nothing.
func (s *Server) SetQuotas(c quota.Config) error {
	if err := s.sessions.SetQuotas(c); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slots.Divide(c.Connections())
	return nil
}

// refusedShutdown is why a server that shuts down refuses a connection.
const refusedShutdown = "shutting down"

// takeSlot takes one of the MaxConnections slots for a principal, or returns why it must not.
func (s *Server) takeSlot(principal string) (refused string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.sessions.Draining() {
		return refusedShutdown
	}
	if s.slots.Take(principal) != nil {
		return "over capacity"
	}
	s.wg.Add(1)
	return ""
}

// othersConnected reports whether a principal other than this one has a slot.
func (s *Server) othersConnected(principal string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slots.Used() > s.slots.UsedBy(principal)
}

// releaseSlot releases a slot, at the end of the goroutine that has it.
func (s *Server) releaseSlot(principal string) {
	defer s.wg.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slots.Release(principal)
}

// add adds a connection to those that Announce and Shutdown reach.
func (s *Server) add(c *conn) {
	s.mu.Lock()
	closed, restart := s.closed, s.restart
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	if closed {
		c.shutdown(restart)
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
