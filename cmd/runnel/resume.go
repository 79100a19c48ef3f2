package main

import "github.com/runnel-rpc/runnel/rpc"

type resumeCmd struct {
	target
	IDs []string `arg:"" name:"id" help:"The sessions: their ids, unique prefixes of them, or names."`
}

// Run resumes the sessions.
func (c *resumeCmd) Run(inv *invocation) error {
	return c.control(inv, c.IDs, rpc.ControlParams{Type: rpc.ControlResume})
}
