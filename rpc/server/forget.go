package server

import (
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/session"
)

// forget deletes the record and the log of a session that has ended.
func forget(r *request, p *rpc.ForgetParams) answer {
	s, err := r.conn.find(p.SessionID, mayEnd)
	if err == nil {
		err = r.conn.forget(s)
	}
	r.conn.auditControl(s, p.SessionID, audit.Control{Action: rpc.MethodForget}, err)
	return result(rpc.ForgetResult{}, err)
}

func (c *conn) forget(s *session.Session) error {
	if err := c.server.sessions.Forget(s.Spec().Owner, s.ID()); err != nil {
		e, _ := rpcError(err, c.name(s))
		return e
	}
	return nil
}
