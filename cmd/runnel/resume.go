package main

import "github.com/runnel-rpc/runnel/rpc"

type resumeCmd struct {
	target
	ID string `arg:"" help:"The session's id, or a prefix of it that no other has."`
}

// Run lets the session's tree go on.
func (c *resumeCmd) Run(w *world) error {
	return c.control(w, c.ID, rpc.ControlParams{Type: rpc.ControlResume})
}
