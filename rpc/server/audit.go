package server

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/audit"
)

// auditor writes what happens on one connection to the audit log.
type auditor struct {
	log    *audit.Log // nil without one
	peer   audit.Peer
	opened time.Time

	// These belong to the goroutine that reads.
	uses    *repeats                   // of the right to read the sessions of others; nil at first
	written map[audit.Session]struct{} // what firstWrite has reported
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
	if c.audit.uses != nil {
		c.audit.uses.close()
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

// auditRenewal writes that a credential was presented on the connection. If it was refused, detail may
// say why.
func (r *request) auditRenewal(err error, detail string) {
	a, refused := &r.conn.audit, auditedError(err)
	if a.log == nil || r.repeatedRefusal(renewalLine, "", refused) {
		return
	}
	a.log.Write(&audit.Connection{
		Action: audit.ActionAuthenticate, Caller: r.conn.auditedCaller(), Expires: r.conn.identity().Expires,
		Detail: detail, Error: refused,
	})
}
