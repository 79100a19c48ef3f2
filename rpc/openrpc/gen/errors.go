package main

import (
	"encoding/json"
	"reflect"

	"github.com/runnel-rpc/runnel/rpc"
)

// errorForm describes the errors with one code.
type errorForm struct {
	Code    int
	Name    string
	Summary string
	Message string   // with placeholders in braces
	Kinds   []string // the values of kind in the data
	Data    []dataMember
	Sample  *rpc.Error
}

// dataMember is a member of the data of an error, other than kind. It may be null if its type is a
// pointer.
type dataMember struct {
	Name     string
	Type     reflect.Type
	Summary  string
	Optional bool
}

// errorForms has a row for each error code, in the order of the document.
var errorForms = []errorForm{
	{rpc.CodeParse, "ParseError", "A message is not JSON. The id of the reply is null.",
		"Parse error: {why}", []string{"parse_error"}, nil, rpc.ParseError("unexpected end")},
	{rpc.CodeInvalidRequest, "InvalidRequest", "A message is JSON but not a valid request, a batch is empty, or a request with the same id is in flight.",
		"Invalid request: {why}", []string{"invalid_request"},
		[]dataMember{{"id", typeOf[json.RawMessage](), "The id of the request in flight, if that is the reason.", true}}, rpc.DuplicateID([]byte("1"))},
	{rpc.CodeMethodNotFound, "MethodNotFound", "The method does not exist.",
		"Method not found: {method}", []string{"method_not_found"}, nil, rpc.MethodNotFound("exec")},
	{rpc.CodeInvalidParams, "InvalidParams", "A param is invalid, unknown or missing.",
		"{why}", []string{"invalid_params", "not_enforceable"},
		[]dataMember{
			{"field", typeOf[string](), "The path of the param, as in limits.cpu_seconds or command[1].", false},
			{"known", typeOf[[]string](), "The values that the param may have, if they are few.", true},
			{"ceiling", typeOf[int64](), "The largest value that the server allows.", true},
		}, rpc.UnknownControl("STOP")},
	{rpc.CodeInternal, "Internal", "The server failed, or the reply does not fit into one message.",
		"{what}", []string{"internal", "reply_too_large"},
		[]dataMember{{"limit", typeOf[int](), "With `reply_too_large`: the size of the largest message in bytes.", true}}, rpc.ReplyTooLarge()},
	{rpc.CodeForbidden, "Forbidden", "The policy of the server, or the role of the caller, does not permit the request.",
		"Forbidden: {rule} does not permit this {field}", []string{"forbidden"},
		[]dataMember{
			{"rule", typeOf[string](), "The name of the rule, as in role.observe.", false},
			{"field", typeOf[string](), "The path of the param that the rule refuses; `method` is the method itself.", false},
		}, rpc.Forbidden("role.observe", "method")},
	{rpc.CodeSessionNotFound, "SessionNotFound", "The caller has no session with this id or name, or the connection has no running session.",
		"Session not found: {session_id}", []string{"session_not_found"},
		[]dataMember{{"session_id", typeOf[*string](), "The id or the name in the request, or null if it had none.", false}}, rpc.SessionNotFound(exampleRunning)},
	{rpc.CodeSessionLimit, "SessionLimit", "The largest number of sessions is running, or too many have begun in this second.",
		"Session limit reached: {running} of {limit} run", []string{"session_limit", "start_rate"},
		[]dataMember{
			{"scope", typeOf[string](), "Whose limit it is: `server`, `principal` or `group`.", false},
			{"limit", typeOf[int](), "With `session_limit`: the largest number of sessions.", true},
			{"running", typeOf[int](), "With `session_limit`: the number of running sessions, unless that would tell one principal about others.", true},
			{"starts_per_second", typeOf[float64](), "With `start_rate`: how many sessions may begin in a second.", true},
			{"retry_after", typeOf[float64](), "The time in seconds after which to try again.", false},
		}, rpc.SessionLimit("server", 100, 100, 1)},
	{rpc.CodeDeadline, "Deadline", "The timeout of a wait has passed. The session continues.",
		"Timeout passed before the session ended", []string{"deadline"}, nil, rpc.Deadline()},
	{rpc.CodeNotRunning, "NotRunning", "The state of the session does not allow the request.",
		"Session is not running: {state}", []string{"not_running", "still_running", "command_exited", "not_permitted", "not_recorded"},
		[]dataMember{
			{"state", typeOf[string](), "With `not_running` and `still_running`: the state of the session.", true},
			{"pids", typeOf[[]int](), "With `not_permitted`: the process ids of the processes that could not be signaled, because they belong to another user.", true},
		}, rpc.NotRunning("ended")},
	{rpc.CodeStdinClosed, "StdinClosed", "The stdin of the session was never open or is closed.",
		"Stdin is closed: {why}", []string{"stdin_closed"}, nil, rpc.StdinClosed("eof was written")},
	{rpc.CodeSessionExists, "SessionExists", "A session with this id has other params, or one that has not ended has the name.",
		"Session exists with other params: {session_id}", []string{"session_exists"},
		[]dataMember{
			{"session_id", typeOf[string](), "The id of the session.", false},
			{"name", typeOf[string](), "The name that is in use, if that is the reason.", true},
		}, rpc.SessionExists(exampleRunning)},
	{rpc.CodeSpawnFailed, "SpawnFailed", "A program could not be run, a directory could not be entered, or the sandbox could not be made.",
		"{why}", []string{"spawn_failed", "sandbox_failed"},
		[]dataMember{
			{"errno", typeOf[string](), "The name of the error number, as in ENOENT. With `sandbox_failed` only if a system call has failed.", true},
			{"path", typeOf[string](), "With `spawn_failed`: the program or the directory.", true},
			{"step", typeOf[string](), "With `sandbox_failed`: what failed, in words.", true},
		}, rpc.SpawnFailed("/bin/none", "ENOENT", "no such file or directory")},
	{rpc.CodeOverloaded, "Overloaded", "The request would exceed a limit of its connection.",
		"Overloaded: {limit} is {value} on a connection", []string{"overloaded"},
		[]dataMember{
			{"limit", typeOf[string](), "The name of the limit.", false},
			{"value", typeOf[int64](), "The value of the limit.", false},
		}, rpc.Overloaded("max_in_flight", 1024)},
	{rpc.CodeShuttingDown, "ShuttingDown", "The server accepts no new sessions, because it shuts down or cannot write its audit log; or the session is only on the disk of the server, which does not respond.",
		"{why}", []string{"shutting_down", "audit_unavailable", "spool_unavailable"},
		[]dataMember{{"retry_after", typeOf[float64](), "Without `shutting_down`: the time in seconds after which to try again.", true}},
		rpc.ShuttingDown()},
	{rpc.CodeRequestCanceled, "RequestCanceled", "The client canceled the request with `$/cancelRequest`, or the session was canceled before it ran.",
		"Request canceled", []string{"request_canceled"}, nil, rpc.RequestCanceled()},
}
