package main

import (
	"encoding/json"
	"reflect"

	"github.com/runnel-rpc/runnel/rpc"
)

// errorForm describes the errors of one code.
type errorForm struct {
	Code    int
	Name    string
	Summary string
	Message string   // what stands in braces differs from one to the next
	Kinds   []string // of the data
	Data    []dataMember
	Sample  *rpc.Error
}

// dataMember is a member of an error's data beside its kind. A pointer type may be null.
type dataMember struct {
	Name     string
	Type     reflect.Type
	Summary  string
	Optional bool
}

// errorForms has a row for each error code.
var errorForms = []errorForm{
	{rpc.CodeParse, "ParseError", "A message is not JSON. Answered under a null id.",
		"Parse error: {why}", []string{"parse_error"}, nil, rpc.ParseError("unexpected end")},
	{rpc.CodeInvalidRequest, "InvalidRequest", "A message is JSON but no request: the envelope is wrong, the batch is empty, or the id is in flight.",
		"Invalid request: {why}", []string{"invalid_request"},
		[]dataMember{{"id", typeOf[json.RawMessage](), "The id that is still in flight, where that is what is wrong.", true}}, rpc.DuplicateID([]byte("1"))},
	{rpc.CodeMethodNotFound, "MethodNotFound", "There is no such method.",
		"Method not found: {method}", []string{"method_not_found"}, nil, rpc.MethodNotFound("exec")},
	{rpc.CodeInvalidParams, "InvalidParams", "A param is wrong, unknown or missing.",
		"{why}", []string{"invalid_params", "not_enforceable"},
		[]dataMember{
			{"field", typeOf[string](), "The path of the param, as in limits.cpu_seconds or command[1].", false},
			{"known", typeOf[[]string](), "The values that the param takes, if they are few.", true},
			{"ceiling", typeOf[int64](), "The largest value that the param takes here.", true},
		}, rpc.UnknownControl("STOP")},
	{rpc.CodeInternal, "Internal", "The server failed, or the reply does not fit into one message.",
		"{what}", []string{"internal", "reply_too_large"},
		[]dataMember{{"limit", typeOf[int](), "The bytes of a message, where the reply is too large.", true}}, rpc.ReplyTooLarge()},
	{rpc.CodeCommandNotAllowed, "CommandNotAllowed", "The server's rules do not let this command run.",
		"Command not allowed: {rule}", []string{"command_not_allowed"},
		[]dataMember{{"rule", typeOf[string](), "The rule that refused it.", false}},
		&rpc.Error{Code: rpc.CodeCommandNotAllowed, Message: "Command not allowed: no-shell",
			Data: rpc.Data{"kind": "command_not_allowed", "rule": "no-shell"}}},
	{rpc.CodeSessionNotFound, "SessionNotFound", "The caller has no such session, or the connection none that runs.",
		"Session not found: {session_id}", []string{"session_not_found"},
		[]dataMember{{"session_id", typeOf[*string](), "The id that was given, or null for none.", false}}, rpc.SessionNotFound(exampleRunning)},
	{rpc.CodeSessionLimit, "SessionLimit", "As many sessions run as may.",
		"Session limit reached: {running} of {limit} run", []string{"session_limit"},
		[]dataMember{
			{"limit", typeOf[int](), "How many may run.", false},
			{"running", typeOf[int](), "How many run.", false},
			{"retry_after", typeOf[float64](), "Seconds after which to try again.", false},
		}, rpc.SessionLimit(100, 100, 1)},
	{rpc.CodeDeadline, "Deadline", "The timeout of a wait passed; what was waited for goes on.",
		"Timeout passed before the session ended", []string{"deadline"}, nil, rpc.Deadline()},
	{rpc.CodeNotRunning, "NotRunning", "The session's state does not allow what was asked.",
		"Session is not running: {state}", []string{"not_running", "command_exited", "not_permitted"},
		[]dataMember{
			{"state", typeOf[string](), "With `not_running`: the session's state.", true},
			{"pids", typeOf[[]int](), "With `not_permitted`: the ids of the processes that have another user, and could not be signaled.", true},
		}, rpc.NotRunning("ended")},
	{rpc.CodeStdinClosed, "StdinClosed", "The session's stdin takes nothing, or nothing any more.",
		"Stdin is closed: {why}", []string{"stdin_closed"}, nil, rpc.StdinClosed("eof was written")},
	{rpc.CodeSessionExists, "SessionExists", "Another execute took this id.",
		"Session exists with other params: {session_id}", []string{"session_exists"},
		[]dataMember{{"session_id", typeOf[string](), "The id.", false}}, rpc.SessionExists(exampleRunning)},
	{rpc.CodeSpawnFailed, "SpawnFailed", "A program could not be run, or a directory not be entered.",
		"Cannot start {path}: {why}", []string{"spawn_failed"},
		[]dataMember{
			{"errno", typeOf[string](), "The kernel's name for why, like ENOENT.", false},
			{"path", typeOf[string](), "The program or the directory.", false},
		}, rpc.SpawnFailed("/bin/none", "ENOENT", "no such file or directory")},
	{rpc.CodeOverloaded, "Overloaded", "The request would have passed a bound of its connection.",
		"Overloaded: {limit} is {value} on a connection", []string{"overloaded"},
		[]dataMember{
			{"limit", typeOf[string](), "The name of the bound.", false},
			{"value", typeOf[int64](), "The bound.", false},
		}, rpc.Overloaded("max_in_flight", 1024)},
	{rpc.CodeShuttingDown, "ShuttingDown", "The server takes no new sessions.",
		"Server is shutting down", []string{"shutting_down"}, nil, rpc.ShuttingDown()},
	{rpc.CodeRequestCanceled, "RequestCanceled", "The client's `$/cancelRequest` ended a wait, or a session was canceled before it ran.",
		"Request canceled", []string{"request_canceled"}, nil, rpc.RequestCanceled()},
}
