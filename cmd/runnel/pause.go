package main

import "github.com/runnel-rpc/runnel/rpc"

type pauseCmd struct {
	target
	ID string `arg:"" help:"The session's id, or a unique prefix of it."`
}

// Run pauses the session.
func (c *pauseCmd) Run(inv *invocation) error {
	return c.control(inv, c.ID, rpc.ControlParams{Type: rpc.ControlPause})
}
