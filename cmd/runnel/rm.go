package main

import (
	"context"
	"errors"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

type rmCmd struct {
	target
	Force bool     `short:"f" help:"Kill the sessions that have not ended, by SIGKILL."`
	IDs   []string `arg:"" name:"id" help:"The sessions: their ids, unique prefixes of them, or names."`
}

// Run deletes the records and the output of the sessions.
func (c *rmCmd) Run(inv *invocation) error {
	return c.each(inv, c.IDs, eachSession{failure: exitFailure, do: func(ctx context.Context, conn *client.Client, id string) (string, error) {
		err := conn.Forget(ctx, id)
		if c.Force && errors.Is(err, &rpc.Error{Code: rpc.CodeNotRunning}) {
			if _, err = cancelSession(ctx, conn, id, rpc.CancelParams{Grace: rpc.Seconds{Set: true}}); err == nil {
				err = conn.Forget(ctx, id)
			}
		}
		if err != nil {
			return "", err
		}
		return id + " removed", nil
	}})
}
