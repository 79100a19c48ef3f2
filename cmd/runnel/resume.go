package main

import "github.com/runnel-rpc/runnel/rpc"

type resumeCmd struct {
	target
	ID string `arg:"" help:"The session's id, or a unique prefix of it."`
}

// Run resumes the session.
func (c *resumeCmd) Run(inv *invocation) error {
	return c.control(inv, c.ID, rpc.ControlParams{Type: rpc.ControlResume})
}
