package main

import (
	"fmt"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// detach starts the command, says its session's id, and leaves it. Nobody but who is told the id would ever end the
// command, so an answer that is lost is asked for again.
func (e *execution) detach(p rpc.ExecuteParams) error {
	stream := false
	p.Stream = &stream
	s, err := e.conn.Execute(e.w.ctx, p, client.Events{})
	if err != nil {
		return startStatus(err, &p)
	}
	if err := s.Detach(e.w.ctx); err != nil {
		return &statusError{exitRunnelFailed, err}
	}
	_, err = fmt.Fprintln(e.w.stdout, s.ID())
	return err
}
