package server

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/audit"
)

// auditor writes what happens on one connection to the audit log.
type auditor struct {
	log    *audit.Log // nil without one
	peer   audit.Peer
	opened time.Time

	written map[audit.Session]struct{} // what firstWrite has reported; belongs to the goroutine that reads
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
			Peer:    audit.Peer{Peer: r.Peer, Address: addressText(r.Address), Forwarded: addressText(r.Forwarded)},
			Reason:  r.Reason,
			Detail:  r.Detail,
			Status:  r.Status,
			Count:   r.Count,
			Reasons: r.Reasons,
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

// maxAuditedWrites bounds auditor.written. Beyond it, writes are reported once more.
const maxAuditedWrites = 1024

// firstWrite reports whether a write to a session is the first of the connection.
func (a *auditor) firstWrite(of audit.Session) bool {
	if _, ok := a.written[of]; ok {
		return false
	}
	if a.written == nil || len(a.written) >= maxAuditedWrites {
		a.written = make(map[audit.Session]struct{})
	}
	a.written[of] = struct{}{}
	return true
}

func (c *party) auditedCaller() audit.Caller {
	return audit.Caller{Identity: c.identity(), Peer: c.audit.peer, Connection: c.id}
}

// auditOpen writes that the connection was opened with a request for a path.
func (c *party) auditOpen(path string) {
	if c.audit.log == nil {
		return
	}
	c.audit.opened = time.Now()
	e := &audit.Connection{Action: audit.ActionOpen, Caller: c.auditedCaller(), Path: path, Expires: c.identity().Expires}
	if !c.merged(auditedRequest{kind: connectionLine, action: e.Action, caller: e.Caller}) {
		c.audit.log.Write(e)
	}
}

// auditClose writes that the connection was closed: by the server with a close frame, unless closing is
// nil, or else because of err, which may be nil.
func (c *party) auditClose(closing *closeError, err error) {
	if c.audit.log == nil {
		return
	}
	e := &audit.Connection{Action: audit.ActionClose, Caller: c.auditedCaller(), Duration: time.Since(c.audit.opened)}
	switch {
	case closing != nil:
		e.Code, e.Reason = int(closing.code), closing.reason
	case err != nil:
		e.Reason = err.Error()
	}
	why := closeError{websocket.StatusCode(e.Code), e.Reason}
	if !c.merged(auditedRequest{kind: connectionLine, action: e.Action, caller: e.Caller, closing: why}) {
		c.audit.log.Write(e)
	}
}

// auditRenewal writes that a credential was presented on the connection. If it was refused, detail may
// say why.
func (r *request) auditRenewal(err error, detail string) {
	c := r.conn
	if c.audit.log == nil {
		return
	}
	e := &audit.Connection{
		Action: audit.ActionAuthenticate, Caller: c.auditedCaller(), Expires: c.identity().Expires,
		Detail: detail, Error: auditedError(err),
	}
	if !c.merged(auditedRequest{kind: connectionLine, action: e.Action, caller: e.Caller, err: e.Error}) {
		c.audit.log.Write(e)
	}
}
