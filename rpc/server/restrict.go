package server

import (
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/session"
)

// restrict applies Options.Restrict to an execute. Only a policy can permit a user, and has to set
// it in the spec.
func (c *party) restrict(caller access.Identity, p *rpc.ExecuteParams, spec *session.Spec) error {
	if restrict := c.server.o.Restrict; restrict != nil {
		err := restrict(caller, p, spec)
		if spec.TraceID == "" {
			p.Traceparent = "" // it was not accepted, and is not audited
		}
		if err != nil {
			return err
		}
	}
	if p.User != "" && spec.Program.User == nil {
		return rpc.Forbidden("user", "user")
	}
	return nil
}
