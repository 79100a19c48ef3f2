package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

type signalCmd struct {
	target
	ID     string `arg:"" help:"The session's id, or a unique prefix of it."`
	Signal string `arg:"" help:"The signal's name, such as SIGINT or INT."`
	To     string `help:"Recipient: tree, or leader for the command's first process." enum:"tree,leader" default:"tree"`
}

// Run sends the signal to the session's tree or leader.
func (c *signalCmd) Run(inv *invocation) error {
	name := strings.ToUpper(c.Signal)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	p := rpc.ControlParams{Type: rpc.ControlSignal, Signal: name}
	if c.To != rpc.ToTree { // the default is omitted, since an older server may not know the param
		p.To = c.To
	}
	return c.control(inv, c.ID, p)
}

// control sends a control request and prints its result.
func (t *target) control(inv *invocation, prefix string, p rpc.ControlParams) error {
	return t.withClient(inv, func(ctx context.Context, conn *client.Client) error {
		var err error
		if p.SessionID, err = resolveID(ctx, conn, prefix); err != nil {
			return err
		}
		var res rpc.ControlResult
		if err := conn.Call(ctx, rpc.MethodControl, p, &res); err != nil {
			return err
		}
		if len(res.NotSignaled) > 0 {
			return fmt.Errorf("%s: processes of another user were not signaled: %v", res.SessionID, res.NotSignaled)
		}
		_, err = fmt.Fprintf(inv.stdout, "%s %s\n", res.SessionID, res.Status)
		return err
	})
}
