package server

import (
	"github.com/runnel-rpc/runnel/process/egress"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/session"
)

// AuditSessions returns the functions for session.Options that write what happens to sessions to
// the audit log, or nil without one.
func AuditSessions(l *audit.Log) (onRunning, onEnded func(*session.Session), onDestination func(*session.Session, egress.Event)) {
	if l == nil {
		return nil, nil, nil
	}
	onRunning = func(s *session.Session) {
		v := s.View()
		l.Write(&audit.Started{
			Session: auditedSession(s), PID: v.PID, Containment: string(v.Containment), Sandbox: auditedSandbox(v.Sandbox),
		})
	}
	onEnded = func(s *session.Session) { l.Write(auditedEnd(s)) }
	onDestination = func(s *session.Session, e egress.Event) { l.Write(auditedDestination(s, &e)) }
	return onRunning, onEnded, onDestination
}

func auditedSession(s *session.Session) audit.Session {
	return audit.Session{ID: s.ID(), Owner: s.Spec().Owner}
}

func auditedEnd(s *session.Session) *audit.End {
	e := &audit.End{Session: auditedSession(s)}
	rec := s.Record()
	if rec == nil {
		e.Error = auditedError(s.View().Failure)
		return e
	}
	c := completion(named{s.ID(), s.Spec().Owner}, rec)
	e.Record = &audit.Record{
		Status:            c.Status,
		Reason:            c.Reason,
		Limit:             c.Limit,
		ExitCode:          c.ExitCode,
		Signal:            c.Signal,
		PID:               c.PID,
		Escalated:         c.Escalated,
		Survivors:         c.Survivors,
		SurvivorsVerified: c.SurvivorsVerified,
		ExecutionTime:     c.ExecutionTime,
		UserTime:          c.Usage.UserTime,
		SystemTime:        c.Usage.SystemTime,
		MaxRSSBytes:       c.Usage.MaxRSSBytes,
		Stdout:            c.Output.StdoutBytes,
		Stderr:            c.Output.StderrBytes,
		PTY:               c.Output.PTYBytes,
		TruncatedLines:    c.Output.TruncatedLines,
		DroppedBytes:      c.Output.DroppedBytes,
		LostBytes:         c.Output.LostBytes,
	}
	if c.Sandbox != nil {
		e.Record.DeniedMore = c.Sandbox.DeniedMore
	}
	return e
}

// auditedError returns what the audit log has of an error. It is not the message, which may quote
// params.
func auditedError(err error) (a audit.Error) {
	if err == nil {
		return a
	}
	e, _ := rpcError(err, "")
	a.Code = e.Code
	if data, ok := e.Data.(rpc.Data); ok {
		a.Kind, _ = data["kind"].(string)
		a.Rule, _ = data["rule"].(string)
		a.Field, _ = data["field"].(string)
	}
	return a
}
