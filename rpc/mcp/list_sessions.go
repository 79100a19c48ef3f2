package mcp

import (
	"context"
	"fmt"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/runnel-rpc/runnel/rpc"
)

type listSessionsInput struct{}

// listedSession is a session in the result of list_sessions.
type listedSession struct {
	SessionID string  `json:"session_id" jsonschema:"The session."`
	Name      string  `json:"name,omitempty" jsonschema:"Its name."`
	State     string  `json:"state" jsonschema:"queued, starting, running, paused, ending or ended."`
	Command   string  `json:"command" jsonschema:"The beginning of the command."`
	StartedAt string  `json:"started_at,omitempty" jsonschema:"When it was started, RFC 3339."`
	ExitCode  *int    `json:"exit_code,omitempty" jsonschema:"The exit code, if it has ended and has one."`
	Signal    *string `json:"signal,omitempty" jsonschema:"The signal that ended it, if one did."`
	Reason    string  `json:"reason,omitempty" jsonschema:"Why it has ended."`
}

// listSessionsResult is the result of list_sessions.
type listSessionsResult struct {
	Sessions []listedSession `json:"sessions" jsonschema:"The sessions, newest first."`
	More     bool            `json:"more" jsonschema:"There are older sessions, which are left out."`
}

var listSessionsSchema = outputSchema[listSessionsResult]("sessions", "more")

func listSessionsTool() *sdk.Tool {
	return &sdk.Tool{
		Name:         "list_sessions",
		Title:        "List the sessions",
		Description:  fmt.Sprintf("Returns the newest %d sessions: those that run, and ended ones whose output is still kept.", MaxListed),
		Annotations:  &sdk.ToolAnnotations{Title: "List the sessions", ReadOnlyHint: true, OpenWorldHint: no()},
		InputSchema:  schema(`{"type":"object","properties":{},"additionalProperties":false}`),
		OutputSchema: listSessionsSchema(),
	}
}

func (s *Server) listSessions(ctx context.Context, _ *call, _ *listSessionsInput) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callMargin)
	defer cancel()
	limit := int64(MaxListed)
	var page rpc.ListResult
	err := s.caller.CallIdempotent(ctx, rpc.MethodList, rpc.ListParams{Limit: &limit, Labels: s.labels()}, &page)
	if err != nil {
		return answer{}, err
	}
	r := listSessionsResult{Sessions: []listedSession{}, More: page.Next != "" || page.Truncated || page.Incomplete}
	var text strings.Builder
	for i := range page.Sessions {
		l := listed(&page.Sessions[i])
		r.Sessions = append(r.Sessions, l)
		fmt.Fprintf(&text, "%s\n", l)
	}
	if r.More {
		text.WriteString("[older sessions are left out]\n")
	}
	if len(r.Sessions) == 0 {
		text.WriteString("[no sessions]\n")
	}
	return answer{text.String(), r}, nil
}

func listed(st *rpc.SessionStatus) listedSession {
	l := listedSession{SessionID: st.SessionID, Name: st.Name, State: st.State, StartedAt: st.StartedAt}
	l.Command = clip(visible(strings.Join(strings.Fields(st.Command.String()), " ")), maxCommandRunes)
	if c := st.Completion; c != nil {
		l.ExitCode, l.Signal, l.Reason = c.ExitCode, c.Signal, c.Reason
	}
	return l
}

// String returns the session on one line.
func (l listedSession) String() string {
	text := l.SessionID
	if l.Name != "" {
		text += " (" + l.Name + ")"
	}
	text += " " + l.State
	switch {
	case l.ExitCode != nil:
		text += fmt.Sprintf(", exit code %d", *l.ExitCode)
	case l.Signal != nil:
		text += ", " + *l.Signal
	}
	return text + ": " + l.Command
}
