package server

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/session"
)

// AuditSessions returns the functions for session.Options that write what happens to sessions to
// the audit log, or nil without one.
func AuditSessions(l *audit.Log) (onRunning, onEnded func(*session.Session)) {
	if l == nil {
		return nil, nil
	}
	onRunning = func(s *session.Session) {
		v := s.View()
		l.Write(&audit.Started{Session: auditedSession(s), PID: v.PID, Containment: string(v.Containment)})
	}
	onEnded = func(s *session.Session) { l.Write(auditedEnd(s)) }
	return onRunning, onEnded
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

// auditor writes what happens on one connection to the audit log.
type auditor struct {
	log    *audit.Log // nil without one
	peer   audit.Peer
	opened time.Time
	seen   map[auditedUse]struct{} // what first has reported; belongs to the goroutine that reads
}

// auditedUse is what one connection does with one session repeatedly.
type auditedUse struct {
	action  string
	session audit.Session
}

// auditor returns the auditor of the connection of an HTTP request.
func (s *Server) auditor(r *http.Request) auditor {
	a := auditor{log: s.o.Audit}
	if a.log != nil {
		if a.peer.Peer = access.PeerOf(r.Context()); !a.peer.Unix {
			a.peer.Address = r.RemoteAddr
		}
		forwarded, _ := s.o.Proxies.Client(r)
		a.peer.Forwarded = addressText(forwarded)
	}
	return a
}

// auditRefusals returns a function that writes refusals, and calls next, which may be nil.
func auditRefusals(l *audit.Log, next func(Refused)) func(Refused) {
	if l == nil {
		return next
	}
	return func(r Refused) {
		l.Write(&audit.Refusal{
			Peer:   audit.Peer{Peer: r.Peer, Address: addressText(r.Address), Forwarded: addressText(r.Forwarded)},
			Reason: r.Reason,
			Status: r.Status,
			Count:  r.Count,
		})
		if next != nil {
			next(r)
		}
	}
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// maxAuditedUses bounds auditor.seen. Beyond it, uses are reported once more.
const maxAuditedUses = 1024

// first reports whether a use is the first of its kind on the connection.
func (a *auditor) first(action string, of audit.Session) bool {
	use := auditedUse{action, of}
	if _, ok := a.seen[use]; ok {
		return false
	}
	if a.seen == nil || len(a.seen) >= maxAuditedUses {
		a.seen = make(map[auditedUse]struct{})
	}
	a.seen[use] = struct{}{}
	return true
}

func (c *conn) auditedCaller() audit.Caller {
	return audit.Caller{Identity: c.identity(), Peer: c.audit.peer, Connection: c.id}
}

// auditOpen writes that the connection was opened.
func (c *conn) auditOpen() {
	if c.audit.log == nil {
		return
	}
	path := "/ws"
	if c.dialect == &legacy {
		path = "/ws/mcp"
	}
	c.audit.opened = time.Now()
	c.audit.log.Write(&audit.Connection{Action: audit.ActionOpen, Caller: c.auditedCaller(), Path: path, Expires: c.identity().Expires})
}

// auditClose writes that the connection was closed. err is that of reading it.
func (c *conn) auditClose(err error) {
	if c.audit.log == nil {
		return
	}
	e := &audit.Connection{Action: audit.ActionClose, Caller: c.auditedCaller(), Duration: time.Since(c.audit.opened)}
	var closing *closeError
	c.update(func(st *connStatus) { closing = st.closing })
	switch {
	case closing != nil:
		e.Code, e.Reason = int(closing.code), closing.reason
	case err != nil:
		e.Reason = err.Error()
	}
	c.audit.log.Write(e)
}

// auditRenewal writes that a credential was presented on the connection.
func (r *request) auditRenewal(err error) {
	if a := &r.conn.audit; a.log != nil {
		a.log.Write(&audit.Connection{
			Action: audit.ActionAuthenticate, Caller: r.conn.auditedCaller(), Expires: r.conn.identity().Expires, Error: auditedError(err),
		})
	}
}

// auditRefused writes a request that is refused before its handler is called. params may be nil.
func (r *request) auditRefused(params any, err error) {
	if r.conn.audit.log == nil {
		return
	}
	switch p := params.(type) {
	case *rpc.ExecuteParams:
		_ = r.auditExecute(p, nil, err)
	case *rpc.ControlParams:
		r.auditControl(nil, p.SessionID, audit.Control{Action: p.Type, Signal: p.Signal, To: p.To}, err)
	case *rpc.CancelParams:
		r.auditControl(nil, p.SessionID, audit.Control{Action: rpc.ControlCancel, Signal: p.Signal}, err)
	}
}

// auditExecute writes an execute: that of the new session s, which then must not begin if there is
// an error, or one that is refused with err.
func (r *request) auditExecute(p *rpc.ExecuteParams, s *session.Session, err error) error {
	l := r.conn.audit.log
	if l == nil {
		return nil
	}
	e := &audit.Execute{Caller: r.conn.auditedCaller(), Session: audit.Session{ID: p.SessionID, Owner: r.conn.principal}}
	e.Error = auditedError(err)
	r.auditedParams(e, p)
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
func (r *request) auditAvailable() error {
	if r.conn.audit.log.Available() != nil {
		return rpc.AuditUnavailable(retryAfter)
	}
	return nil
}

func (r *request) auditedParams(e *audit.Execute, p *rpc.ExecuteParams) {
	switch {
	case len(p.Command.Argv) > 0:
		e.Program, e.Argv = p.Command.Argv[0], p.Command.Argv
	case p.Command.Shell != "":
		e.Program, e.ByShell, e.Shell = r.conn.server.o.Defaults.Shell, true, p.Command.Shell
	}
	e.Dir, e.User, e.Terminal = string(p.Cwd), p.User, p.PTY != nil
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

// auditControl writes a request to change a session. If the session was not found, it is nil, and
// name is what the request has.
func (r *request) auditControl(s *session.Session, name string, e audit.Control, err error) {
	l := r.conn.audit.log
	if l == nil {
		return
	}
	e.Caller, e.Session, e.Error = r.conn.auditedCaller(), r.conn.auditedName(s, name), auditedError(err)
	l.Write(&e)
}

// auditWrite writes the first write of the connection to a session, and those that are refused.
func (r *request) auditWrite(s *session.Session, name string, err error) {
	a := &r.conn.audit
	if a.log == nil || err == nil && !a.first(rpc.MethodWrite, auditedSession(s)) {
		return
	}
	r.auditControl(s, name, audit.Control{Action: rpc.MethodWrite}, err)
}

func (c *conn) auditedName(s *session.Session, name string) audit.Session {
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
func (r *request) auditAttach(s *session.Session, name, action string, err error) {
	if l := r.conn.audit.log; l != nil {
		l.Write(&audit.Attach{Caller: r.conn.auditedCaller(), Session: r.conn.auditedName(s, name), Action: action, Error: auditedError(err)})
	}
}

// find is conn.find for a request that reads. It writes a use of the right to read the sessions of
// others, and of an observer's, once for each method and session on the connection.
func (r *request) find(name string) (*session.Session, error) {
	c := r.conn
	s, err := c.find(name, mayRead)
	if c.audit.log == nil {
		return s, err
	}
	switch {
	case err != nil && strings.Contains(name, "/"):
		r.auditAttach(nil, name, r.Method, err)
	case err == nil && passive(c.identity(), s) && c.audit.first(r.Method, auditedSession(s)):
		r.auditAttach(s, name, r.Method, nil)
	}
	return s, err
}

// auditList writes the first list of a connection that may have the sessions of others.
func (r *request) auditList(principal string) {
	a := &r.conn.audit
	if a.log == nil || r.conn.identity().Role == access.Run {
		return
	}
	if of := (audit.Session{Owner: principal}); a.first(rpc.MethodList, of) {
		a.log.Write(&audit.Attach{Caller: r.conn.auditedCaller(), Session: of, Action: rpc.MethodList})
	}
}

// auditedAttach returns the action of an attach.
func auditedAttach(take bool) string {
	if take {
		return "take"
	}
	return rpc.MethodAttach
}
