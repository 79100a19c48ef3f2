package session

import "github.com/rs/zerolog"

// logged adds the session to a line of the log, and the trace that it belongs to.
func (s *Session) logged(e *zerolog.Event) *zerolog.Event {
	e = e.Str("session", s.spec.ID)
	if s.spec.TraceID != "" {
		e = e.Str("trace_id", s.spec.TraceID)
	}
	return e
}
