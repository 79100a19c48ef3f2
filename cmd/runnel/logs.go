package main

import (
	"context"
	"errors"

	"github.com/runnel-rpc/runnel/rpc/client"
)

type logsCmd struct {
	target
	Follow   bool       `short:"f" help:"Print what is added, too, until the session ends. The command does not wait for it."`
	Tail     *int64     `help:"Begin with the last N lines." placeholder:"N"`
	Since    *sinceTime `help:"Begin with the output of this time: a duration before now, or a time (RFC 3339)." placeholder:"TIME"`
	AfterSeq int64      `name:"after-seq" help:"Begin after this position in the session's log." placeholder:"N"`
	Cast     bool       `help:"Print a terminal session as an asciicast (version 2): its output with times and sizes, and recorded input."`
	ID       string     `arg:"" help:"The session: its id, a unique prefix of it, or its name."`
}

// Validate implements kong's check of values.
func (c *logsCmd) Validate() error {
	switch {
	case c.Tail != nil && *c.Tail < 0:
		return errors.New("--tail must not be negative")
	case c.AfterSeq < 0:
		return errors.New("--after-seq must not be negative")
	case c.Cast && (c.Follow || c.Tail != nil || c.Since != nil || c.AfterSeq > 0):
		return errors.New("--cast excludes --follow, --tail, --since and --after-seq")
	}
	return c.target.Validate()
}

// Run prints the session's output up to the current end of the log, or with --follow to its end,
// stdout to stdout and stderr to stderr.
func (c *logsCmd) Run(inv *invocation) error {
	if !c.Follow {
		return c.withClient(inv, func(ctx context.Context, conn *client.Client) error { return c.print(ctx, inv, conn) })
	}
	conn, err := c.connect(inv.ctx, client.Options{Reconnect: c.reconnect(inv.say)})
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(inv.ctx)
	defer cancel(nil)
	defer watchReader(inv.stdout, func() { cancel(errReaderClosed) })()
	err = c.print(ctx, inv, conn)
	if context.Cause(ctx) == errReaderClosed {
		return errReaderClosed
	}
	return err
}

func (c *logsCmd) print(ctx context.Context, inv *invocation, conn *client.Client) error {
	id, err := resolveID(ctx, conn, c.ID)
	if err != nil {
		return err
	}
	if c.Cast {
		return printCast(ctx, inv, conn, id)
	}
	l := &sessionLog{conn: conn, id: id}
	p := logPrinter{log: l, inv: inv, after: c.AfterSeq}
	if c.Since != nil {
		if p.after, err = l.since(ctx, c.AfterSeq, c.Since.Time); err != nil {
			return err
		}
	}
	end, err := l.end(ctx)
	if err != nil {
		return err
	}
	if c.Tail != nil {
		if p.after, p.skip, err = tail(ctx, l, p.after, end, *c.Tail); err != nil {
			return err
		}
	}
	if c.Follow {
		return p.follow(ctx)
	}
	return p.printUntil(ctx, end)
}
