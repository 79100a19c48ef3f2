package mcp

import (
	"context"
	"errors"
	"fmt"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
	"github.com/runnel-rpc/runnel/rpc/wire"
)

// hints say what to do about the errors of the protocol, by their kind.
var hints = map[string]string{
	"session_not_found": "list_sessions returns the sessions that there are",
	"session_limit":     "end a session with stop_session, or try again later",
	"start_rate":        "try again later",
	"overloaded":        "wait until other calls have ended",
	"forbidden":         "the operator of the server has decided this, and another attempt does not help",
	"not_enforceable":   "the command was not started; another attempt does not help",
	"sandbox_failed":    "the command was not started; the log of the server says more",
	"not_running":       "read_output returns its output and its exit status",
	"stdin_closed":      "read_output returns what the command has written",
	"shutting_down":     "try again later",
	"spool_unavailable": "try again later",
	"audit_unavailable": "try again later",
	"session_exists":    "choose another name, or use that session",
	"not_permitted":     "the processes belong to another user",
	"reply_too_large":   "use a larger after_seq",
	"request_canceled":  "the session was canceled before it started",
}

// explain returns an error of a request in terms of the tools, with what to do next.
func explain(err error) error {
	var e *rpc.Error
	var field *wire.FieldError
	var large *client.TooLargeError
	switch {
	case errors.As(err, &field):
		return field
	case errors.As(err, &e):
		return explainReply(e)
	case errors.As(err, &large):
		return fmt.Errorf("the arguments are too large: %w", large)
	case errors.Is(err, client.ErrClosed):
		return errors.New("the connection to the Runnel server was lost; list_sessions returns those that are left")
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("the Runnel server does not respond; try again later")
	}
	return err
}

func explainReply(e *rpc.Error) error {
	data, _ := e.Data.(rpc.Data)
	kind, _ := data["kind"].(string)
	if hint := hints[kind]; hint != "" {
		return fmt.Errorf("%s: %s", e.Message, hint)
	}
	return errors.New(e.Message)
}
