package client

import (
	"context"
	"errors"

	"github.com/runnel-rpc/runnel/rpc"
)

// Repaint asks for the screen of the session's terminal, which Events.Screen receives; the events after it
// follow. A caller uses it when what its own terminal shows is not right any more: something else was written
// to it, or Events.Gap has reported lost output, which a reconnect does not repair by itself. A suspended
// session is attached to again, as by Reattach. An *rpc.Error, for example because the session has no
// terminal, leaves the session attached as before.
func (s *Session) Repaint(ctx context.Context) error {
	s.setWantsScreen(true)
	for {
		conn, err := s.c.awaitConnection(ctx)
		if err != nil {
			return err
		}
		p, ok := s.attachParams(conn)
		if !ok || !p.Screen { // it has ended; or a reconnect has brought the screen
			return nil
		}
		err = conn.call(ctx, rpc.MethodAttach, p, nil)
		var refused *rpc.Error
		switch {
		case err == nil:
			s.setReattachedOn(conn)
			return nil
		case errors.As(err, &refused):
			s.setWantsScreen(false)
			return err
		case s.c.o.Reconnect == nil || !errors.Is(err, ErrClosed):
			return err
		}
	}
}

func (s *Session) setWantsScreen(wants bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wantsScreen = wants
}

func (s *Session) setReattachedOn(conn *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reattachedOn = conn
}
