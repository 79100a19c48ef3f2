package server

import (
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/session"
)

// MayRead returns the error of a read of a session that the caller's principal has started, and writes it to
// the audit log.
func (c *Caller) MayRead(s *session.Session) error {
	err := c.authorize(rpc.MethodRead, &rpc.ReadParams{SessionID: s.ID()})
	if err != nil {
		c.auditAttach(s, "", rpc.MethodRead, err)
	}
	return callerError(err)
}

// MayCancel returns the error of a cancel of a session that the caller's principal starts, and writes it to the
// audit log. s is nil as long as there is no session.
func (c *Caller) MayCancel(s *session.Session) error {
	p := &rpc.CancelParams{}
	if s != nil {
		p.SessionID = s.ID()
	}
	err := c.authorize(rpc.MethodCancel, p)
	if err != nil {
		c.auditControl(s, "", audit.Control{Action: rpc.ControlCancel}, err)
	}
	return callerError(err)
}
