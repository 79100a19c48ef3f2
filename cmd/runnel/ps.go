package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

type psCmd struct {
	target
	Label map[string]string `help:"Only sessions with this label; may be repeated." placeholder:"K=V" mapsep:"none"`
	State string            `help:"Only sessions in this state: queued, starting, running, paused, ending or ended." placeholder:"STATE"`
	JSON  bool              `name:"json" help:"Print the sessions as JSON."`
	Quiet bool              `short:"q" help:"Print the ids only."`
}

// sessionStates are the states of a session.
var sessionStates = []string{"queued", "starting", "running", "paused", "ending", "ended"}

// Validate implements kong's check of values.
func (c *psCmd) Validate() error {
	switch {
	case c.State != "" && !slices.Contains(sessionStates, c.State):
		return fmt.Errorf("--state must be one of %s", strings.Join(sessionStates, ", "))
	case c.JSON && c.Quiet:
		return errors.New("--json excludes --quiet")
	}
	return c.target.Validate()
}

// Run prints the sessions, newest first.
func (c *psCmd) Run(inv *invocation) error {
	return c.withClient(inv, func(ctx context.Context, conn *client.Client) error {
		all := []rpc.SessionStatus{} // not nil, which is null in JSON
		truncated := false
		err := eachPage(ctx, conn, rpc.ListParams{Labels: c.Label, State: c.State}, func(page *rpc.ListResult) error {
			truncated = page.Truncated && page.Next == ""
			if c.Quiet {
				return printIDs(inv, page.Sessions)
			}
			all = append(all, page.Sessions...)
			return nil
		})
		if err != nil {
			return err
		}
		if truncated {
			fmt.Fprintln(inv.stderr, "runnel: the list is incomplete: only the newest sessions are shown")
		}
		switch {
		case c.Quiet:
			return nil
		case c.JSON:
			return json.NewEncoder(inv.stdout).Encode(all)
		}
		return printTable(inv, all)
	})
}

func printIDs(inv *invocation, sessions []rpc.SessionStatus) error {
	for _, s := range sessions {
		if _, err := fmt.Fprintln(inv.stdout, s.SessionID); err != nil {
			return err
		}
	}
	return nil
}

// printTable prints the sessions with a header. The columns of names and of the time left without a
// client are left out if no session has one.
func printTable(inv *invocation, sessions []rpc.SessionStatus) error {
	named := optionalColumn(slices.ContainsFunc(sessions, func(s rpc.SessionStatus) bool { return s.Name != "" }))
	lingers := optionalColumn(slices.ContainsFunc(sessions, func(s rpc.SessionStatus) bool { return s.LingerLeft != nil }))
	t := tabwriter.NewWriter(inv.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "SESSION%s\tSTATE\tPID\tSTARTED%s\tEXIT\tCOMMAND\n", named("NAME"), lingers("LEFT"))
	for _, s := range sessions {
		fmt.Fprintf(t, "%s%s\t%s\t%d\t%s%s\t%s\t%s\n", s.SessionID, named(s.Name), s.State, s.PID, since(s.StartedAt),
			lingers(lingerLeft(&s)), exitOf(&s), oneLine(s.Command.String()))
	}
	return t.Flush()
}

// optionalColumn returns a function that returns the text of a column, which is "-" if it is empty, or
// nothing if the column is not printed.
func optionalColumn(printed bool) func(string) string {
	return func(text string) string {
		if !printed {
			return ""
		}
		return "\t" + cmp.Or(text, "-")
	}
}

// lingerLeft returns how long a session continues without a client, or "" if that is not limited.
func lingerLeft(s *rpc.SessionStatus) string {
	if s.LingerLeft == nil {
		return ""
	}
	return time.Duration(*s.LingerLeft * float64(time.Second)).Round(time.Second).String()
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

// exitOf returns the exit code or the signal of a command. If the session was queued and not
// started, it returns the kind of the error that says why.
func exitOf(s *rpc.SessionStatus) string {
	switch c := s.Completion; {
	case s.Error != nil:
		return kindOf(s.Error)
	case c == nil:
		return "-"
	case c.Signal == nil && c.ExitCode == nil:
		return "?"
	default:
		return exitStatus(c.ExitCode, c.Signal)
	}
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
	runes := []rune(onOneLine(s))
	if len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return string(runes)
}

// onOneLine returns a text on one line, with unprintable characters replaced.
func onOneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
}
