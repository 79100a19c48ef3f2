package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// waitSlack is how long after its timeout wait gives up a server that does not answer.
const waitSlack = 2 * time.Second

type waitCmd struct {
	target
	Timeout *time.Duration `help:"How long to wait; 0 only checks. Default: until the sessions have ended." placeholder:"DURATION"`
	JSON    bool           `name:"json" help:"Print each completion record as a line of JSON."`
	IDs     []string       `arg:"" name:"id" help:"The sessions: their ids, unique prefixes of them, or names."`
}

// Validate implements kong's check of values.
func (c *waitCmd) Validate() error {
	if c.Timeout != nil && *c.Timeout < 0 {
		return errors.New("--timeout must not be negative")
	}
	return c.target.Validate()
}

// Run waits until the sessions have ended, and returns the exit status of the first one that has
// not succeeded. It prints the sessions in the order in which they end.
func (c *waitCmd) Run(inv *invocation) error {
	var end time.Time
	if c.Timeout != nil {
		end = time.Now().Add(*c.Timeout)
	}
	return c.each(inv, c.IDs, eachSession{
		options: client.Options{Reconnect: c.reconnect(inv.say)},
		failure: exitRunnelFailed,
		asDone:  true,
		do: func(ctx context.Context, conn *client.Client, id string) (string, error) {
			text, rec, err := c.wait(ctx, conn, id, end)
			if err != nil {
				return "", err
			}
			return text, recordStatus(rec)
		},
	})
}

// wait waits for the end of a session, and returns its record and what is printed of it.
func (c *waitCmd) wait(ctx context.Context, conn *client.Client, id string, end time.Time) (string, *rpc.Completion, error) {
	p := rpc.WaitParams{SessionID: id}
	if c.Timeout != nil {
		p.Timeout = rpc.Seconds{Set: true, D: max(0, time.Until(end))}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.Timeout.D+waitSlack)
		defer cancel()
	}
	var text json.RawMessage
	var rec rpc.Completion
	err := conn.CallIdempotent(ctx, rpc.MethodWait, p, &text)
	switch {
	case errors.Is(err, &rpc.Error{Code: rpc.CodeDeadline}), errors.Is(err, context.DeadlineExceeded):
		return "", nil, &statusError{exitTimeout, fmt.Errorf("%s has not ended within %v", id, *c.Timeout)}
	case notStarted(err):
		return "", nil, startError(err, &rpc.ExecuteParams{})
	case err != nil:
		return "", nil, err
	}
	if err := json.Unmarshal(text, &rec); err != nil {
		return "", nil, err
	}
	if !c.JSON {
		return rec.SessionID + " " + rec.Status, &rec, nil
	}
	line, err := compactJSON(text)
	return line, &rec, err
}

// compactJSON returns a JSON text on one line.
func compactJSON(text []byte) (string, error) {
	var line bytes.Buffer
	err := json.Compact(&line, text)
	return line.String(), err
}
