package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

type statusCmd struct {
	target
	JSON bool     `name:"json" help:"Print the reply of the server for each session as a line of JSON."`
	IDs  []string `arg:"" name:"id" help:"The sessions: their ids, unique prefixes of them, or names."`
}

// Run prints the state of the sessions.
func (c *statusCmd) Run(inv *invocation) error {
	e := eachSession{failure: exitFailure, do: func(ctx context.Context, conn *client.Client, id string) (string, error) {
		var text json.RawMessage
		if err := conn.CallIdempotent(ctx, rpc.MethodStatus, rpc.SessionParams{SessionID: id}, &text); err != nil {
			return "", err
		}
		if c.JSON {
			return compactJSON(text)
		}
		var s rpc.StatusResult
		if err := json.Unmarshal(text, &s); err != nil {
			return "", err
		}
		return describe(&s, conn.Connected().Principal), nil
	}}
	if !c.JSON {
		e.separator = "\n"
	}
	return c.each(inv, c.IDs, e)
}

// statusList is the description of a session as lines of a name and a value.
type statusList struct{ lines []string }

// add adds a line if the value is not empty. The command has chosen some values, so what is not
// printable is replaced.
func (l *statusList) add(name, value string) {
	if value != "" {
		l.lines = append(l.lines, name+"\t"+onOneLine(value))
	}
}

func (l *statusList) String() string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, strings.Join(l.lines, "\n"))
	_ = t.Flush()
	return b.String()
}

// describe returns what the status of a session says. The principal is added if it is not the
// caller.
func describe(s *rpc.StatusResult, caller string) string {
	var l statusList
	l.add("id", s.SessionID)
	l.add("name", s.Name)
	if s.Principal != caller {
		l.add("principal", s.Principal)
	}
	l.add("state", stateOf(s))
	l.add("command", s.Command.String())
	if s.PID != 0 {
		l.add("pid", fmt.Sprint(s.PID))
	}
	if s.StartedAt != "" {
		l.add("started", s.StartedAt+" ("+since(s.StartedAt)+")")
	}
	if left := lingerLeft(&s.SessionStatus); left != "" {
		l.add("ends in", left+", unless a client attaches")
	}
	if s.Exited != nil {
		l.add("exited", exitStatus(s.Exited.ExitCode, s.Exited.Signal))
	}
	if s.Error != nil {
		l.add("error", s.Error.Message)
	}
	l.addCompletion(s.Completion)
	if c := s.Completion; c != nil && c.Reason == rpc.ReasonLost { // the counts and the time ended with the server
		l.add("output", "unknown")
	} else {
		l.add("output", outputCounts(&s.Output))
	}
	if s.Spool != nil {
		l.add("spool", spoolOf(s.Spool))
	}
	if s.StdinBytes > 0 {
		l.add("stdin", fmt.Sprintf("%d bytes", s.StdinBytes))
	}
	for _, k := range slices.Sorted(maps.Keys(s.Labels)) {
		l.add("label", k+"="+s.Labels[k])
	}
	l.addBounds(s)
	return l.String()
}

// stateOf returns the state of a session, and whether it waits for input.
func stateOf(s *rpc.StatusResult) string {
	state := s.State
	if s.WaitingForInput != nil && *s.WaitingForInput {
		state += ", waits for input"
		if s.Echo != nil && !*s.Echo {
			state += " without echo"
		}
	}
	return state
}

func (l *statusList) addCompletion(c *rpc.Completion) {
	if c == nil {
		return
	}
	l.add("exit", exitStatus(c.ExitCode, c.Signal))
	reason := c.Reason
	if c.Limit != "" {
		reason += " " + c.Limit
	}
	if c.Escalated {
		reason += ", killed"
	}
	l.add("reason", reason)
	if len(c.Survivors) > 0 {
		l.add("survivors", fmt.Sprint(c.Survivors))
	}
	if c.Reason == rpc.ReasonLost {
		l.add("ran for", "unknown")
		return
	}
	l.add("ran for", time.Duration(c.ExecutionTime*float64(time.Second)).Round(time.Millisecond).String())
	l.add("usage", usageOf(&c.Usage))
}

// addBounds adds the limits and the sandbox.
func (l *statusList) addBounds(s *rpc.StatusResult) {
	for _, limit := range s.Limits {
		l.add("limit", fmt.Sprintf("%s=%d by %s", limit.Limit, limit.Value, limit.By))
	}
	report := s.Sandbox
	if report == nil && s.Completion != nil {
		report = s.Completion.Sandbox
	}
	if report == nil {
		return
	}
	l.add("sandbox", strings.Join(enforcement(report), ", "))
	for _, d := range report.Denied {
		l.add("refused", denial(&d))
	}
}

// spoolOf describes what is kept of the output on the server's disk.
func spoolOf(s *rpc.SpoolStatus) string {
	text := s.State + ", " + formatSize(s.Bytes) + " on disk"
	if s.OldestSeq > 0 {
		text += fmt.Sprintf("; readable from position %d on", s.OldestSeq)
	}
	return text
}

// exitStatus returns an exit code, or the name of a signal.
func exitStatus(code *int, signal *string) string {
	switch {
	case signal != nil:
		return *signal
	case code != nil:
		return fmt.Sprint(*code)
	}
	return "unknown"
}

// usageOf describes the resources that a command used, without those that are not known.
func usageOf(u *rpc.Usage) string {
	var all []string
	seconds := func(name string, t *float64) {
		if t != nil {
			all = append(all, fmt.Sprintf("%.3f s %s", *t, name))
		}
	}
	seconds("user", u.UserTime)
	seconds("system", u.SystemTime)
	if u.MaxRSSBytes != nil {
		all = append(all, formatSize(*u.MaxRSSBytes)+" of memory")
	}
	return strings.Join(all, ", ")
}

// outputCounts describes the output of a session.
func outputCounts(c *rpc.OutputCounts) string {
	var all []string
	add := func(n int64, what string) {
		if n > 0 {
			all = append(all, fmt.Sprintf("%d %s", n, what))
		}
	}
	add(c.StdoutBytes, "bytes of stdout")
	add(c.StderrBytes, "bytes of stderr")
	add(c.PTYBytes, "bytes of the terminal")
	add(c.TruncatedLines, "truncated lines")
	add(c.DroppedBytes, "bytes dropped")
	add(c.LostBytes, "bytes removed unread")
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
