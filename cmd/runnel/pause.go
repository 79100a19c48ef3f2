package main

import "github.com/runnel-rpc/runnel/rpc"

type pauseCmd struct {
	target
	IDs []string `arg:"" name:"id" help:"The sessions: their ids, unique prefixes of them, or names."`
}

// Run pauses the sessions.
func (c *pauseCmd) Run(inv *invocation) error {
	return c.control(inv, c.IDs, rpc.ControlParams{Type: rpc.ControlPause})
}
