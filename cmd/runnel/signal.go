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
}

// Run sends the signal to the session's tree.
func (c *signalCmd) Run(w *world) error {
	name := strings.ToUpper(c.Signal)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	return c.control(w, c.ID, rpc.ControlParams{Type: rpc.ControlSignal, Signal: name})
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
		_, err = fmt.Fprintf(w.stdout, "%s %s\n", res.SessionID, res.Status)
		return err
	})
}
