package rpc

import (
	"fmt"

	"github.com/runnel-rpc/runnel/rpc/wire"
)

// The error codes of the protocol. Those from -32768 to -32600 are JSON-RPC 2.0's own (§5.1), -32800 is
// the Language Server Protocol's RequestCancelled, the rest are Runnel's.
const (
	CodeParse          = -32700
	CodeInvalidRequest = -32600
	CodeMethodNotFound = -32601
	CodeInvalidParams  = -32602
	CodeInternal       = -32603

	CodeCommandNotAllowed = -32001
	CodeSessionNotFound   = -32002
	CodeSessionLimit      = -32003
	CodeDeadline          = -32004
	CodeNotRunning        = -32005
	CodeStdinClosed       = -32006
	CodeSessionExists     = -32007
	CodeSpawnFailed       = -32008
	CodeOverloaded        = -32009
	CodeShuttingDown      = -32010
	CodeRequestCanceled   = -32800
)

// Error is a JSON-RPC 2.0 error object (§5.1). Data is nil or an object with a "kind". It is a value that
// is never changed once made, so it may be shared.
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.Message, e.Code) }

// Is makes errors.Is match any two errors of one code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Data is the data of an [Error]: its kind and what else that kind tells.
type Data map[string]any

// ParseError says that a message is not JSON.
func ParseError(msg string) *Error {
	return &Error{CodeParse, "Parse error: " + msg, Data{"kind": "parse_error"}}
}

// InvalidRequest says that a message is JSON but not a request.
func InvalidRequest(format string, args ...any) *Error {
	return &Error{CodeInvalidRequest, "Invalid request: " + fmt.Sprintf(format, args...), Data{"kind": "invalid_request"}}
}

// MessageError is the error of a message, or of an item of a batch, that is not a call.
func MessageError(e *wire.Error) *Error {
	if e.Syntax {
		return ParseError(e.Reason)
	}
	return InvalidRequest("%s", e.Reason)
}

// DuplicateID says that a request came under the id of one that is still in flight; id is its raw JSON.
func DuplicateID(id []byte) *Error {
	e := InvalidRequest("a request under this id is still in flight")
	e.Data.(Data)["id"] = rawJSON(id)
	return e
}

// MethodNotFound names the method that does not exist.
func MethodNotFound(method string) *Error {
	return &Error{CodeMethodNotFound, "Method not found: " + wire.Clip(method, 128), Data{"kind": "method_not_found"}}
}

// InvalidParams names the field that is wrong and says why.
func InvalidParams(field, format string, args ...any) *Error {
	return &Error{CodeInvalidParams, fmt.Sprintf(format, args...), Data{"kind": "invalid_params", "field": field}}
}

// NotEnforceable says that nothing on the server's machine enforces a limit.
func NotEnforceable(limit string) *Error {
	return &Error{CodeInvalidParams, fmt.Sprintf("limits.%s can't be enforced here", limit),
		Data{"kind": "not_enforceable", "field": "limits." + limit}}
}

// OverCeiling says that a limit is larger than the server allows.
func OverCeiling(limit string, ceiling int64) *Error {
	e := InvalidParams("limits."+limit, "limits.%s is at most %d here", limit, ceiling)
	e.Data.(Data)["ceiling"] = ceiling
	return e
}

// UnknownControl names a control type that does not exist, and those that do.
func UnknownControl(typ string) *Error {
	return &Error{CodeInvalidParams, "Unknown control type: " + wire.Clip(typ, 128),
		Data{"kind": "invalid_params", "field": "type", "known": ControlTypes}}
}

// Internal says that the server failed, and nothing of how: that is in its log.
func Internal() *Error {
	return &Error{CodeInternal, "Internal error", Data{"kind": "internal"}}
}

// ReplyTooLarge says that an answer does not fit into one message; ask for less.
func ReplyTooLarge() *Error {
	return &Error{CodeInternal, "The reply does not fit into one message", Data{"kind": "reply_too_large", "limit": MaxFrameBytes}}
}

// SessionNotFound says that the caller has no session of that id; the id is null where none was given.
func SessionNotFound(id string) *Error {
	d := Data{"kind": "session_not_found", "session_id": id}
	if id == "" {
		d["session_id"] = nil
		return &Error{CodeSessionNotFound, "This connection has no running session", d}
	}
	return &Error{CodeSessionNotFound, "Session not found: " + wire.Clip(id, 64), d}
}

// SessionLimit says that limit sessions run already. retryAfter is in seconds.
func SessionLimit(limit, running int, retryAfter float64) *Error {
	return &Error{CodeSessionLimit, fmt.Sprintf("Session limit reached: %d of %d run", running, limit),
		Data{"kind": "session_limit", "limit": limit, "running": running, "retry_after": retryAfter}}
}

// Deadline says that a wait's timeout passed; what was waited for goes on.
func Deadline() *Error {
	return &Error{CodeDeadline, "Timeout passed before the session ended", Data{"kind": "deadline"}}
}

// NotRunning says that a session is in a state that does not allow what was asked.
func NotRunning(state string) *Error {
	return &Error{CodeNotRunning, "Session is not running: " + state, Data{"kind": "not_running", "state": state}}
}

// CommandExited says that the command itself has exited, though its session goes on.
func CommandExited() *Error {
	return &Error{CodeNotRunning, "The command itself has exited", Data{"kind": "command_exited"}}
}

// NotPermitted says which processes could not be signaled, for which reason nothing was done.
func NotPermitted(pids []int) *Error {
	return &Error{CodeNotRunning, fmt.Sprintf("Not permitted to signal %d processes of the session", len(pids)),
		Data{"kind": "not_permitted", "pids": pids}}
}

// StdinClosed says that a session's stdin takes nothing (any more), and why.
func StdinClosed(why string) *Error {
	return &Error{CodeStdinClosed, "Stdin is closed: " + why, Data{"kind": "stdin_closed"}}
}

// SessionExists says that another execute took this id.
func SessionExists(id string) *Error {
	return &Error{CodeSessionExists, "Session exists with other params: " + wire.Clip(id, 64),
		Data{"kind": "session_exists", "session_id": id}}
}

// SpawnFailed says which path could not be run or entered; errno is the kernel's name for why (ENOENT).
func SpawnFailed(path, errno, why string) *Error {
	return &Error{CodeSpawnFailed, fmt.Sprintf("Cannot start %s: %s", wire.Clip(path, 256), why),
		Data{"kind": "spawn_failed", "errno": errno, "path": wire.Clip(path, 4096)}}
}

// Overloaded names the bound of a connection that a request would have passed.
func Overloaded(limit string, value int64) *Error {
	return &Error{CodeOverloaded, fmt.Sprintf("Overloaded: %s is %d on a connection", limit, value),
		Data{"kind": "overloaded", "limit": limit, "value": value}}
}

// ShuttingDown says that the server takes no new sessions.
func ShuttingDown() *Error {
	return &Error{CodeShuttingDown, "Server is shutting down", Data{"kind": "shutting_down"}}
}

// RequestCanceled says that the client's $/cancelRequest ended a wait.
func RequestCanceled() *Error {
	return &Error{CodeRequestCanceled, "Request canceled", Data{"kind": "request_canceled"}}
}

type rawJSON []byte

// MarshalJSON gives the text back as it came.
func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }
