package main

import (
	"fmt"

	"github.com/runnel-rpc/runnel/rpc"
)

// detach starts the command, says its session's id, and leaves it.
func (e *execution) detach(p rpc.ExecuteParams) error {
	var res rpc.ExecuteResult
	stream := false
	p.Stream = &stream
	if err := e.conn.Call(e.w.ctx, rpc.MethodExecute, p, &res); err != nil {
		return startStatus(err, &p)
	}
	if err := e.conn.Call(e.w.ctx, rpc.MethodDetach, rpc.SessionParams{SessionID: res.SessionID}, nil); err != nil {
		return &statusError{exitRunnelFailed, err}
	}
	_, err := fmt.Fprintln(e.w.stdout, res.SessionID)
	return err
}
