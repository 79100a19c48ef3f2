package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

type psCmd struct {
	target
	JSON bool `name:"json" help:"Print the sessions as JSON."`
}

// Run prints the sessions as a table, newest first.
func (c *psCmd) Run(inv *invocation) error {
	return c.withClient(inv, func(ctx context.Context, conn *client.Client) error {
		sessions, more, err := listSessions(ctx, conn)
		if err != nil {
			return err
		}
		if more {
			fmt.Fprintln(inv.stderr, "runnel: the list is incomplete: only the newest sessions are shown")
		}
		if c.JSON {
			return json.NewEncoder(inv.stdout).Encode(sessions)
		}
		t := tabwriter.NewWriter(inv.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "SESSION\tSTATE\tPID\tSTARTED\tEXIT\tCOMMAND")
		for _, s := range sessions {
			fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\n", s.SessionID, s.State, s.PID, since(s.StartedAt), exitOf(&s), oneLine(s.Command.String()))
		}
		return t.Flush()
	})
}

// since returns how long ago a session was started, or "-" if it was not.
func since(rfc3339 string) string {
	if rfc3339 == "" {
		return "-"
	}
	t, err := time.Parse(time.RFC3339Nano, rfc3339)
	if err != nil {
		return "?"
	}
	return time.Since(t).Round(time.Second).String() + " ago"
}

// exitOf returns the exit code or the signal of a command. If the session was queued and not started, it
// returns the kind of the error that says why.
func exitOf(s *rpc.SessionStatus) string {
	switch c := s.Completion; {
	case s.Error != nil:
		return kindOf(s.Error)
	case c == nil:
		return "-"
	case c.Signal != nil:
		return *c.Signal
	case c.ExitCode != nil:
		return fmt.Sprint(*c.ExitCode)
	}
	return "?"
}

// kindOf returns the kind of an error, or its code if it has none.
func kindOf(e *rpc.StartError) string {
	var data struct{ Kind string }
	if json.Unmarshal(e.Data, &data) != nil || data.Kind == "" {
		return fmt.Sprint(e.Code)
	}
	return oneLine(data.Kind)
}

// oneLine returns at most 60 characters of a command on one line, with unprintable characters
// replaced.
func oneLine(s string) string {
	const most = 60
	printable := func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}
	runes := []rune(strings.Map(printable, strings.Join(strings.Fields(s), " ")))
	if len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return string(runes)
}
