package main

import (
	"errors"
	"fmt"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// errDetachedInput is the error of run --detach if there is input that the command would not get.
var errDetachedInput = errors.New("stdin has input, which a detached command does not get: " +
	"use --stdin and \"runnel write\", or --no-stdin to ignore it")

// detach starts the command, detaches from it, and prints the session's id. If the connection is
// lost before the reply, the request is sent again, so that no session continues whose id was not
// printed.
func (e *execution) detach(p rpc.ExecuteParams) error {
	stream := false
	p.Stream = &stream
	s, err := e.conn.Execute(e.inv.ctx, p, client.Events{})
	if err != nil {
		return startError(err, &p)
	}
	if err := s.Detach(e.inv.ctx); err != nil {
		return &statusError{exitRunnelFailed, err}
	}
	_, err = fmt.Fprintln(e.inv.stdout, s.ID())
	return err
}
