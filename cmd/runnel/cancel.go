package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

type cancelCmd struct {
	target
	Grace  *time.Duration `help:"Time between the first signal and SIGKILL. Default: the session's." placeholder:"DURATION"`
	Signal string         `help:"The first signal. Default: the session's, which is SIGTERM unless set by execute." placeholder:"NAME"`
	IDs    []string       `arg:"" name:"id" help:"The sessions: their ids, unique prefixes of them, or names."`
}

// Validate implements kong's check of values.
func (c *cancelCmd) Validate() error {
	if c.Grace != nil && *c.Grace < 0 {
		return errors.New("--grace must not be negative")
	}
	return c.target.Validate()
}

// Run cancels the sessions and waits until their trees have ended.
func (c *cancelCmd) Run(inv *invocation) error {
	p := rpc.CancelParams{Signal: c.Signal}
	if c.Grace != nil {
		p.Grace = rpc.Seconds{Set: true, D: *c.Grace}
	}
	return c.each(inv, c.IDs, eachSession{failure: exitFailure, do: func(ctx context.Context, conn *client.Client, id string) (string, error) {
		status, err := cancelSession(ctx, conn, id, p)
		if err != nil {
			return "", err
		}
		return id + " " + status, nil
	}})
}

// cancelSession cancels a session and returns its status. It fails if processes survive.
func cancelSession(ctx context.Context, conn *client.Client, id string, p rpc.CancelParams) (string, error) {
	p.SessionID = id
	var res rpc.CancelResult
	if err := conn.Call(ctx, rpc.MethodCancel, p, &res); err != nil {
		return "", err
	}
	if len(res.Survivors) > 0 {
		return "", fmt.Errorf("%s: processes could not be killed: %v", id, res.Survivors)
	}
	if !res.SurvivorsVerified && hasCapability(conn.Connected(), "survivors_verified") {
		return "", fmt.Errorf("%s: the server could not verify that all processes have ended", id)
	}
	return res.Status, nil
}
