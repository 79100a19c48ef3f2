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
	ID     string `arg:"" help:"The session's id, or a prefix of it that no other has."`
	Signal string `arg:"" help:"The signal's name: SIGINT, or INT."`
	To     string `help:"Whom it is sent to: tree, or leader for the command itself." enum:"tree,leader" default:"tree"`
}

// Run sends the signal to the session's tree.
func (c *signalCmd) Run(w *world) error {
	name := strings.ToUpper(c.Signal)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	p := rpc.ControlParams{Type: rpc.ControlSignal, Signal: name}
	if c.To != rpc.ToTree { // the default, which a server without this param has too
		p.To = c.To
	}
	return c.control(w, c.ID, p)
}

// control controls a session, and says what was done.
func (t *target) control(w *world, prefix string, p rpc.ControlParams) error {
	return t.with(w, func(ctx context.Context, conn *client.Client) error {
		var err error
		if p.SessionID, err = resolve(ctx, conn, prefix); err != nil {
			return err
		}
		var res rpc.ControlResult
		if err := conn.Call(ctx, rpc.MethodControl, p, &res); err != nil {
			return err
		}
		if len(res.NotSignaled) > 0 {
			return fmt.Errorf("%s: these processes belong to another user and were not signaled: %v", res.SessionID, res.NotSignaled)
		}
		_, err = fmt.Fprintf(w.stdout, "%s %s\n", res.SessionID, res.Status)
		return err
	})
}
