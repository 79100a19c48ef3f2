package rpc

import (
	"fmt"

	"github.com/runnel-rpc/runnel/rpc/wire"
)

// The error codes of the protocol. Those from -32768 to -32600 are defined by JSON-RPC 2.0 (§5.1),
// -32800 is RequestCancelled of the Language Server Protocol, the others are Runnel's.
const (
	CodeParse          = -32700
	CodeInvalidRequest = -32600
	CodeMethodNotFound = -32601
	CodeInvalidParams  = -32602
	CodeInternal       = -32603

	CodeForbidden       = -32001
	CodeSessionNotFound = -32002
	CodeSessionLimit    = -32003
	CodeDeadline        = -32004
	CodeNotRunning      = -32005
	CodeStdinClosed     = -32006
	CodeSessionExists   = -32007
	CodeSpawnFailed     = -32008
	CodeOverloaded      = -32009
	CodeShuttingDown    = -32010
	CodeRequestCanceled = -32800
)

// Error is a JSON-RPC 2.0 error object (§5.1). Data is nil or an object with a "kind". An Error
// must not be changed after it was created, so it may be used concurrently.
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.Message, e.Code) }

// Is reports whether target is an Error with the same code, for errors.Is.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Data is the data of an [Error]: its kind, and members that depend on the kind.
type Data map[string]any

// ParseError is the error of a message that is not JSON.
func ParseError(msg string) *Error {
	return &Error{CodeParse, "Parse error: " + msg, Data{"kind": "parse_error"}}
}

// InvalidRequest is the error of a message that is JSON but not a request.
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

// DuplicateID is the error of a request whose id, in raw JSON, is that of a request in flight.
func DuplicateID(id []byte) *Error {
	e := InvalidRequest("a request with this id is in flight")
	e.Data.(Data)["id"] = rawJSON(id)
	return e
}

// MethodNotFound is the error of a request of a method that does not exist.
func MethodNotFound(method string) *Error {
	return &Error{CodeMethodNotFound, "Method not found: " + wire.Clip(method, 128), Data{"kind": "method_not_found"}}
}

// InvalidParams is the error of a field of the params. field is its path, as in limits.cpu_seconds
// or command[1].
func InvalidParams(field, format string, args ...any) *Error {
	return &Error{CodeInvalidParams, fmt.Sprintf(format, args...), Data{"kind": "invalid_params", "field": field}}
}

// NotEnforceable is the error of a field that the server's machine cannot enforce, such as
// limits.memory_bytes. why may be empty.
func NotEnforceable(field, why string) *Error {
	text := field + " cannot be enforced on this machine"
	if why != "" {
		text += ": " + why
	}
	return &Error{CodeInvalidParams, text, Data{"kind": "not_enforceable", "field": field}}
}

// OverCeiling is the error of a limit that is larger than the server allows.
func OverCeiling(limit string, ceiling int64) *Error {
	e := InvalidParams("limits."+limit, "limits.%s must be at most %d", limit, ceiling)
	e.Data.(Data)["ceiling"] = ceiling
	return e
}

// UnknownControl is the error of an unknown control type. Its data lists the known ones.
func UnknownControl(typ string) *Error {
	return &Error{CodeInvalidParams, "Unknown control type: " + wire.Clip(typ, 128),
		Data{"kind": "invalid_params", "field": "type", "known": ControlTypes}}
}

// Internal is the error of a failure in the server. The cause is only in the server's log.
func Internal() *Error {
	return &Error{CodeInternal, "Internal error", Data{"kind": "internal"}}
}

// ReplyTooLarge is the error of a request whose reply does not fit into one message.
func ReplyTooLarge() *Error {
	return &Error{CodeInternal, "The reply does not fit into one message",
		Data{"kind": "reply_too_large", "limit": MaxFrameBytes}}
}

// Forbidden is the error of a request that a rule of the server, or the role of the caller, does
// not permit. rule is the name of the rule, field the param that it refuses; "method" is the method
// itself.
func Forbidden(rule, field string) *Error {
	return &Error{CodeForbidden, fmt.Sprintf("Forbidden: %s does not permit this %s", rule, field),
		Data{"kind": "forbidden", "rule": rule, "field": field}}
}

// SessionNotFound is the error of a session id that the caller does not have, or, if id is empty,
// of a request without a session id on a connection without a running session.
func SessionNotFound(id string) *Error {
	d := Data{"kind": "session_not_found", "session_id": id}
	if id == "" {
		d["session_id"] = nil
		return &Error{CodeSessionNotFound, "This connection has no running session", d}
	}
	return &Error{CodeSessionNotFound, "Session not found: " + wire.Clip(id, 64), d}
}

// SessionLimit is the error of execute if limit sessions of a scope already run. The scope is
// server, principal or group. running is how many run, negative if that is not told. retryAfter is
// in seconds.
func SessionLimit(scope string, limit, running int, retryAfter float64) *Error {
	d := Data{"kind": "session_limit", "scope": scope, "limit": limit, "retry_after": retryAfter}
	if running < 0 {
		return &Error{CodeSessionLimit, fmt.Sprintf("Session limit reached: %d may run", limit), d}
	}
	d["running"] = running
	return &Error{CodeSessionLimit, fmt.Sprintf("Session limit reached: %d of %d run", running, limit), d}
}

// StartRate is the error of execute if as many sessions of a scope as are permitted in a second
// have begun. retryAfter is in seconds.
func StartRate(scope string, perSecond, retryAfter float64) *Error {
	return &Error{CodeSessionLimit, fmt.Sprintf("Rate limit reached: %g sessions may begin in a second", perSecond),
		Data{"kind": "start_rate", "scope": scope, "starts_per_second": perSecond, "retry_after": retryAfter}}
}

// Deadline is the error of wait if its timeout has passed. The session continues.
func Deadline() *Error {
	return &Error{CodeDeadline, "Timeout passed before the session ended", Data{"kind": "deadline"}}
}

// NotRunning is the error of a request that the state of the session does not allow.
func NotRunning(state string) *Error {
	return &Error{CodeNotRunning, "Session is not running: " + state, Data{"kind": "not_running", "state": state}}
}

// NotRecorded is the error of recording if the times of the output are not known.
func NotRecorded() *Error {
	return &Error{CodeNotRunning, "The times of the output are not known", Data{"kind": "not_recorded"}}
}

// NotEnded is the error of forget if the session has not ended.
func NotEnded(state string) *Error {
	return &Error{CodeNotRunning, "Session has not ended: " + state, Data{"kind": "still_running", "state": state}}
}

// CommandExited is the error of a signal to a command that has exited while its session continues.
func CommandExited() *Error {
	return &Error{CodeNotRunning, "The command itself has exited", Data{"kind": "command_exited"}}
}

// NotPermitted is the error of a request that did nothing because these processes may not be
// signaled.
func NotPermitted(pids []int) *Error {
	return &Error{CodeNotRunning, fmt.Sprintf("Not permitted to signal %d processes of the session", len(pids)),
		Data{"kind": "not_permitted", "pids": pids}}
}

// StdinClosed is the error of write if the session's stdin is not open.
func StdinClosed(why string) *Error {
	return &Error{CodeStdinClosed, "Stdin is closed: " + why, Data{"kind": "stdin_closed"}}
}

// SessionExists is the error of execute if a session with this id has other params.
func SessionExists(id string) *Error {
	return &Error{CodeSessionExists, "Session exists with other params: " + wire.Clip(id, 64),
		Data{"kind": "session_exists", "session_id": id}}
}

// NameInUse is the error of execute if the session with this id, which has not ended, has the name.
func NameInUse(name, id string) *Error {
	return &Error{CodeSessionExists, fmt.Sprintf("The name %s is in use by the session %s", name, id),
		Data{"kind": "session_exists", "session_id": id, "name": name}}
}

// SpawnFailed is the error of execute if path, a program or a directory, could not be run or
// entered. errno is the name of the error number, as in ENOENT.
func SpawnFailed(path, errno, why string) *Error {
	return &Error{CodeSpawnFailed, fmt.Sprintf("Cannot start %s: %s", wire.Clip(path, 256), why),
		Data{"kind": "spawn_failed", "errno": errno, "path": wire.Clip(path, 4096)}}
}

// SandboxFailed is the error of execute if the sandbox of its command could not be made, whatever the
// command is. step is what failed, in words; errno the name of the error number, "" if no system call
// has failed.
func SandboxFailed(step, errno, why string) *Error {
	d := Data{"kind": "sandbox_failed", "step": step}
	if errno != "" {
		d["errno"] = errno
	}
	return &Error{CodeSpawnFailed, fmt.Sprintf("The sandbox cannot be made: %s %s", step, why), d}
}

// Overloaded is the error of a request that would exceed a limit of its connection.
func Overloaded(limit string, value int64) *Error {
	return &Error{CodeOverloaded, fmt.Sprintf("Overloaded: %s is %d on a connection", limit, value),
		Data{"kind": "overloaded", "limit": limit, "value": value}}
}

// ShuttingDown is the error of execute if the server accepts no new sessions.
func ShuttingDown() *Error {
	return &Error{CodeShuttingDown, "Server is shutting down", Data{"kind": "shutting_down"}}
}

// SpoolUnavailable is the error of a request for a session that only the disk has, if that does not
// respond. retryAfter is in seconds.
func SpoolUnavailable(retryAfter float64) *Error {
	return &Error{CodeShuttingDown, "The session is on the disk, which does not respond", Data{"kind": "spool_unavailable", "retry_after": retryAfter}}
}

// AuditUnavailable is the error of execute if the server has to write the session to its audit log,
// and cannot. retryAfter is in seconds.
func AuditUnavailable(retryAfter float64) *Error {
	return &Error{CodeShuttingDown, "The audit log cannot be written", Data{"kind": "audit_unavailable", "retry_after": retryAfter}}
}

// RequestCanceled is the error of a request that the client canceled with $/cancelRequest.
func RequestCanceled() *Error {
	return &Error{CodeRequestCanceled, "Request canceled", Data{"kind": "request_canceled"}}
}

type rawJSON []byte

// MarshalJSON returns the text unchanged.
func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }
