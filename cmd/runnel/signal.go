package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

type signalCmd struct {
	target
	To   string   `help:"Recipient: tree, or leader for the command's first process." enum:"tree,leader" default:"tree"`
	Args []string `arg:"" name:"id" help:"The sessions: their ids, unique prefixes of them, or names; and last the signal's name, such as SIGINT or INT."`
}

// Validate implements kong's check of values.
func (c *signalCmd) Validate() error {
	if len(c.Args) == 1 {
		return errors.New("a session and the name of a signal are required")
	}
	return c.target.Validate()
}

// Run sends the signal to the tree or the leader of the sessions.
func (c *signalCmd) Run(inv *invocation) error {
	last := len(c.Args) - 1
	name := strings.ToUpper(c.Args[last])
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	p := rpc.ControlParams{Type: rpc.ControlSignal, Signal: name}
	if c.To != rpc.ToTree { // the default is omitted, since an older server may not know the param
		p.To = c.To
	}
	return c.control(inv, c.Args[:last], p)
}

// control sends a control request for each session and prints the results.
func (t *target) control(inv *invocation, sessions []string, p rpc.ControlParams) error {
	return t.each(inv, sessions, eachSession{failure: exitFailure, do: func(ctx context.Context, conn *client.Client, id string) (string, error) {
		p := p
		p.SessionID = id
		var res rpc.ControlResult
		if err := conn.Call(ctx, rpc.MethodControl, p, &res); err != nil {
			return "", err
		}
		if len(res.NotSignaled) > 0 {
			return "", fmt.Errorf("%s: processes of another user were not signaled: %v", res.SessionID, res.NotSignaled)
		}
		return res.SessionID + " " + res.Status, nil
	}})
}
