package session

import (
	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// logged adds the session to a line of the log, with its name and the trace that it belongs to.
func (s *Session) logged(e *zerolog.Event) *zerolog.Event {
	e = e.Str("session", s.spec.ID)
	if s.spec.Name != "" {
		e = e.Str("name", s.spec.Name)
	}
	if s.spec.TraceID != "" {
		e = e.Str("trace_id", s.spec.TraceID)
	}
	return e
}

// logSandbox logs of what the sandbox of a command was made, and what enforces it. It logs no paths.
func (s *Session) logSandbox(r *sandbox.Report) {
	e := s.reg.o.Log.Debug()
	if r == nil || !e.Enabled() {
		return
	}
	c := &r.Config
	if c.Profile != "" {
		e = e.Str("profile", c.Profile)
	}
	if len(c.Required) > 0 {
		e = e.Strs("floor", c.Required)
	}
	e = e.Stringer("files", sandbox.Enforced{Mode: string(c.FilesDefault), By: r.Files}).Int("rules", len(c.Files)).
		Stringer("network", sandbox.Enforced{Mode: string(c.Network.Mode), By: r.Network}).
		Stringer("processes", sandbox.Enforced{Mode: string(c.Processes), By: r.Processes}).
		Stringer("tmp", sandbox.Enforced{Mode: string(c.Tmp), By: r.Tmp}).
		Stringer("unix_sockets", r.EnforcedUnixSockets()).
		Stringer("metadata", r.EnforcedMetadata())
	if c.Network.Mode == sandbox.AllowList {
		e = e.Int("destinations", len(c.Network.Allow))
	}
	s.logged(e).Msg("sandbox")
}
