package server

import (
	"slices"
	"strings"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/session"
)

// auditRefused writes a request that is refused before its handler is called. params may be nil.
func (r *request) auditRefused(params any, err error) {
	if r.conn.audit.log == nil {
		return
	}
	switch p := params.(type) {
	case *rpc.ExecuteParams:
		_ = r.conn.auditExecute(p, nil, err)
	case *rpc.ControlParams:
		r.conn.auditControl(nil, p.SessionID, audit.Control{Action: p.Type, Signal: p.Signal, To: p.To}, err)
	case *rpc.CancelParams:
		r.conn.auditControl(nil, p.SessionID, audit.Control{Action: rpc.ControlCancel, Signal: p.Signal}, err)
	case *rpc.WriteParams:
		r.conn.auditWrite(nil, p.SessionID, err)
	case *rpc.ForgetParams:
		r.conn.auditControl(nil, p.SessionID, audit.Control{Action: rpc.MethodForget}, err)
	default:
		if e := auditedError(err); e.Code == rpc.CodeForbidden {
			r.conn.auditAttach(nil, namedIn(params), r.Method, err)
		}
	}
}

// auditNotAdmitted writes a request that is refused before its params are decoded.
func (r *request) auditNotAdmitted(err error) {
	if r.conn.audit.log == nil {
		return
	}
	switch r.Method {
	case rpc.MethodExecute:
		_ = r.conn.auditExecute(&rpc.ExecuteParams{}, nil, err)
	case rpc.MethodControl:
		r.conn.auditControl(nil, "", audit.Control{}, err)
	case rpc.MethodCancel:
		r.conn.auditControl(nil, "", audit.Control{Action: rpc.ControlCancel}, err)
	case rpc.MethodWrite:
		r.conn.auditWrite(nil, "", err)
	case rpc.MethodForget:
		r.conn.auditControl(nil, "", audit.Control{Action: rpc.MethodForget}, err)
	}
}

// namedIn returns the session_id of the params of a method that reads, or "".
func namedIn(params any) string {
	switch p := params.(type) {
	case *rpc.AttachParams:
		return p.SessionID
	case *rpc.ReadParams:
		return p.SessionID
	case *rpc.RecordingParams:
		return p.SessionID
	case *rpc.WaitParams:
		return p.SessionID
	case *rpc.SessionParams:
		return p.SessionID
	}
	return ""
}

// auditExecute writes an execute: that of the new session s, which then must not begin if there is
// an error, or one that is refused with err.
func (c *party) auditExecute(p *rpc.ExecuteParams, s *session.Session, err error) error {
	l := c.audit.log
	if l == nil {
		return nil
	}
	e := &audit.Execute{Caller: c.auditedCaller(), Session: audit.Session{ID: p.SessionID, Owner: c.principal}}
	e.Error = auditedError(err)
	if err != nil && c.merged(auditedRequest{kind: executeLine, caller: e.Caller, err: e.Error}) {
		return nil
	}
	c.auditedParams(e, p)
	if s == nil {
		l.Write(e)
		return nil
	}
	e.Session = auditedSession(s)
	if l.WriteRequired(e) != nil {
		return rpc.AuditUnavailable(retryAfter)
	}
	return nil
}

// auditAvailable returns the error of an execute if the audit log is required and cannot be written.
func (c *party) auditAvailable() error {
	if c.audit.log.Available() != nil {
		return rpc.AuditUnavailable(retryAfter)
	}
	return nil
}

func (c *party) auditedParams(e *audit.Execute, p *rpc.ExecuteParams) {
	switch {
	case len(p.Command.Argv) > 0:
		e.Program, e.Argv = p.Command.Argv[0], p.Command.Argv
	case p.Command.Shell != "":
		e.Program, e.ByShell, e.Shell = c.server.o.Defaults.Shell, true, p.Command.Shell
	}
	e.Name, e.Dir, e.User, e.Terminal = p.Name, string(p.Cwd), p.User, p.PTY != nil
	for name, value := range p.Env {
		if value != nil {
			e.Set = append(e.Set, name)
		} else {
			e.Unset = append(e.Unset, name)
		}
	}
	slices.Sort(e.Set)
	slices.Sort(e.Unset)
	e.Limits = auditedLimits(p.Limits)
	e.Sandbox = auditedAsk(p.Sandbox)
	if t, err := rpc.ParseTraceparent(p.Traceparent); err == nil {
		e.TraceID, e.ParentID = t.TraceID, t.ParentID
	}
}

func auditedLimits(p *rpc.Limits) (all []audit.Limit) {
	if p == nil {
		return nil
	}
	if p.CPUSeconds != nil {
		all = append(all, audit.Limit{Name: "cpu_seconds", Value: *p.CPUSeconds})
	}
	for _, l := range []struct {
		name  string
		value *int64
	}{{"memory_bytes", p.MemoryBytes}, {"processes", p.Processes}, {"open_files", p.OpenFiles}, {"file_bytes", p.FileBytes}} {
		if l.value != nil {
			all = append(all, audit.Limit{Name: l.name, Value: float64(*l.value)})
		}
	}
	return all
}

// otherControls are the actions of auditControl besides controls.
var otherControls = []string{rpc.ControlCancel, rpc.MethodWrite, rpc.MethodForget}

// auditControl writes a request to change a session. If the session was not found, it is nil, and
// name is what the request has.
func (c *party) auditControl(s *session.Session, name string, e audit.Control, err error) {
	l := c.audit.log
	if l == nil {
		return
	}
	e.Caller, e.Session, e.Error = c.auditedCaller(), c.auditedName(s, name), auditedError(err)
	if controls[e.Action] == nil && !slices.Contains(otherControls, e.Action) {
		e.Action = "" // any text of the client
	}
	x := auditedRequest{
		kind: controlLine, action: e.Action, caller: e.Caller, session: e.Session, signal: e.Signal, to: e.To, err: e.Error,
	}
	if !c.merged(x) {
		l.Write(&e)
	}
}

// auditWrite writes the first write of the connection to a session, and those that are refused.
func (c *party) auditWrite(s *session.Session, name string, err error) {
	a := &c.audit
	if a.log == nil || err == nil && !a.firstWrite(auditedSession(s)) {
		return
	}
	c.auditControl(s, name, audit.Control{Action: rpc.MethodWrite}, err)
}

func (c *party) auditedName(s *session.Session, name string) audit.Session {
	if s != nil {
		return auditedSession(s)
	}
	owner, id, found := strings.Cut(name, "/")
	if !found {
		owner, id = c.principal, name
	}
	return audit.Session{ID: id, Owner: owner}
}

// auditAttach writes a request to read a session.
func (c *party) auditAttach(s *session.Session, name, action string, err error) {
	if c.audit.log != nil {
		c.auditRead(c.auditedName(s, name), action, err)
	}
}

func (c *party) auditRead(of audit.Session, action string, err error) {
	e := &audit.Attach{Caller: c.auditedCaller(), Session: of, Action: action, Error: auditedError(err)}
	if !c.merged(auditedRequest{kind: attachLine, action: action, caller: e.Caller, session: of, err: e.Error}) {
		c.audit.log.Write(e)
	}
}

// find is conn.find for a request that reads. It writes each use of the right to read the sessions of
// others, and of an observer's.
func (r *request) find(name string) (*session.Session, error) {
	c := r.conn
	s, err := c.find(name, mayRead)
	if c.audit.log == nil {
		return s, err
	}
	if err != nil && strings.Contains(name, "/") || err == nil && passive(c.identity(), s) {
		r.conn.auditAttach(s, name, r.Method, err)
	}
	return s, err
}

// auditList writes a list of a caller that may have the sessions of others.
func (r *request) auditList(principal string) {
	id := r.conn.identity()
	if r.conn.audit.log == nil || id.Role == access.Run {
		return
	}
	if principal != "" && !r.conn.server.visible(id, principal) {
		principal = "" // the list is empty, and the client may name anybody
	}
	r.conn.auditRead(audit.Session{Owner: principal}, rpc.MethodList, nil)
}

// auditedAttach returns the action of an attach.
func auditedAttach(take bool) string {
	if take {
		return "take"
	}
	return rpc.MethodAttach
}
