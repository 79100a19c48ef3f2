package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

type cancelCmd struct {
	target
	Grace  *time.Duration `help:"Time between the first signal and SIGKILL. Default: the session's." placeholder:"DURATION"`
	Signal string         `help:"The first signal. Default: the session's, which is SIGTERM unless set by execute." placeholder:"NAME"`
	ID     string         `arg:"" help:"The session's id, or a unique prefix of it."`
}

// Validate implements kong's check of values.
func (c *cancelCmd) Validate() error {
	if c.Grace != nil && *c.Grace < 0 {
		return errors.New("--grace must not be negative")
	}
	return c.target.Validate()
}

// Run cancels the session and waits until its tree has ended.
func (c *cancelCmd) Run(inv *invocation) error {
	return c.withClient(inv, func(ctx context.Context, conn *client.Client) error {
		id, err := resolveID(ctx, conn, c.ID)
		if err != nil {
			return err
		}
		p := rpc.CancelParams{SessionID: id, Signal: c.Signal}
		if c.Grace != nil {
			p.Grace = rpc.Seconds{Set: true, D: *c.Grace}
		}
		var res rpc.CancelResult
		if err := conn.Call(ctx, rpc.MethodCancel, p, &res); err != nil {
			return err
		}
		if len(res.Survivors) > 0 {
			return fmt.Errorf("%s: processes could not be killed: %v", id, res.Survivors)
		}
		if !res.SurvivorsVerified && hasCapability(conn.Connected(), "survivors_verified") {
			return fmt.Errorf("%s: the server could not verify that all processes have ended", id)
		}
		_, err = fmt.Fprintf(inv.stdout, "%s %s\n", id, res.Status)
		return err
	})
}

// resolveID returns the id of the session whose id begins with prefix. It fails if there is none,
// or more than one.
func resolveID(ctx context.Context, conn *client.Client, prefix string) (string, error) {
	if prefix == "" { // an unset variable of a script; it must not select the only session
		return "", errors.New("session id is empty")
	}
	if id, err := uuid.Parse(prefix); err == nil {
		return id.String(), nil // in the form that the server uses
	}
	sessions, _, err := listSessions(ctx, conn)
	if err != nil {
		return "", err
	}
	var found []string
	for _, s := range sessions {
		if strings.HasPrefix(s.SessionID, strings.ToLower(prefix)) {
			found = append(found, s.SessionID)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no session has an id that begins with %q", prefix)
	case 1:
		return found[0], nil
	default:
		return "", fmt.Errorf("%d sessions have an id that begins with %q", len(found), prefix)
	}
}
