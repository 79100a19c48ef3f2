package main

import "github.com/runnel-rpc/runnel/rpc"

type pauseCmd struct {
	target
	ID string `arg:"" help:"The session's id, or a prefix of it that no other has."`
}

// Run stops the session's tree.
func (c *pauseCmd) Run(w *world) error {
	return c.control(w, c.ID, rpc.ControlParams{Type: rpc.ControlPause})
}
