package rpc

import "encoding/json"

// The control types.
const (
	ControlPause  = "PAUSE"
	ControlResume = "RESUME"
	ControlCancel = "CANCEL"
	ControlSignal = "SIGNAL"
	ControlResize = "RESIZE"
)

// ControlTypes are all of them, in the order in which an error lists them.
var ControlTypes = []string{ControlPause, ControlResume, ControlCancel, ControlSignal, ControlResize}

// ControlParams are the params of control.
type ControlParams struct {
	SessionID string  `json:"session_id,omitempty" rpc:"nonempty"`
	Type      string  `json:"type" rpc:"required"`
	Signal    string  `json:"signal,omitempty"`
	To        string  `json:"to,omitempty" enum:"tree,leader"`
	Grace     Seconds `json:"grace,omitzero"`
	Rows      int     `json:"rows,omitempty" min:"1" max:"65535"`
	Cols      int     `json:"cols,omitempty" min:"1" max:"65535"`
}

// Whom a SIGNAL reaches.
const (
	ToTree   = "tree"
	ToLeader = "leader"
)

// ControlResult says what was done. NotSignaled are processes that a SIGNAL did not reach, because they have another
// user.
type ControlResult struct {
	Status      string `json:"status"`
	SessionID   string `json:"session_id"`
	NotSignaled []int  `json:"not_signaled,omitempty"`
}

// CancelParams are the params of cancel.
type CancelParams struct {
	SessionID string  `json:"session_id,omitempty" rpc:"nonempty"`
	Grace     Seconds `json:"grace,omitzero"`
	Signal    string  `json:"signal,omitempty"`
}

// CancelResult answers once the whole tree is gone or given up on: Survivors are the processes that
// could not be killed, all of them if SurvivorsVerified.
type CancelResult struct {
	Status            string `json:"status"`
	SessionID         string `json:"session_id"`
	Escalated         bool   `json:"escalated"`
	Survivors         []int  `json:"survivors"`
	SurvivorsVerified bool   `json:"survivors_verified"`
}

// WriteParams are the params of write.
type WriteParams struct {
	SessionID string  `json:"session_id,omitempty" rpc:"nonempty"`
	Data      *string `json:"data,omitempty"`
	Encoding  string  `json:"encoding,omitempty" enum:"utf8,base64"`
	EOF       bool    `json:"eof,omitempty"`
	Offset    *int64  `json:"offset,omitempty" min:"0"`
}

// WriteResult counts all bytes of stdin that were accepted so far.
type WriteResult struct {
	StdinBytes int64 `json:"stdin_bytes"`
}

// WaitParams are the params of wait. A Timeout of 0 polls; left out, it waits for good.
type WaitParams struct {
	SessionID    string  `json:"session_id" rpc:"required,nonempty"`
	Timeout      Seconds `json:"timeout,omitzero"`
	CaptureBytes *int64  `json:"capture_bytes,omitempty" min:"0"`
}

// SessionParams name one session.
type SessionParams struct {
	SessionID string `json:"session_id" rpc:"required,nonempty"`
}

// ListParams choose sessions by state and by labels, all of which must match. Limit is the most that the result has,
// as many as fit into a message where it is nil, and After the Next of an earlier result.
type ListParams struct {
	State  string            `json:"state,omitempty" enum:"starting,running,paused,ending,ended"`
	Labels map[string]string `json:"labels,omitempty"`
	Limit  *int64            `json:"limit,omitempty" min:"1"`
	After  string            `json:"after,omitempty" rpc:"nonempty"`
}

// ListResult holds a page of the caller's sessions, newest first. Next is the After of the page behind it, empty where
// there is none. Truncated says that the next session did not fit into this message.
type ListResult struct {
	Sessions  []SessionStatus `json:"sessions"`
	Next      string          `json:"next,omitempty"`
	Truncated bool            `json:"truncated,omitempty"`
}

// SessionStatus is what status and list tell of a session. StartedAt is RFC 3339 in UTC. Command is text;
// CommandBase64 is set where it is not exact, because the command is not UTF-8. Where all of them would not fit into a
// message, both are shortened, and if need be the longest labels left out.
type SessionStatus struct {
	SessionID        string            `json:"session_id"`
	State            string            `json:"state"`
	Command          Command           `json:"command"`
	CommandBase64    *Base64Command    `json:"command_base64,omitempty"`
	CommandTruncated bool              `json:"command_truncated,omitempty"`
	PID              int               `json:"pid"`
	PGID             int               `json:"pgid"`
	Containment      string            `json:"containment"`
	Limits           []HeldLimit       `json:"limits,omitempty"`
	StartedAt        string            `json:"started_at"`
	Labels           map[string]string `json:"labels,omitempty"`
	LabelsTruncated  bool              `json:"labels_truncated,omitempty"`
	StdinBytes       int64             `json:"stdin_bytes"`
	Output           OutputCounts      `json:"output"`
	Exited           *ExitStatus       `json:"exited,omitempty"`
	Completion       *Completion       `json:"completion,omitempty"`
}

// ExitStatus is how a command ended whose descendants kept the session running. Exactly one of ExitCode and Signal is set,
// or none where the server could not learn it.
type ExitStatus struct {
	ExitCode *int    `json:"exit_code"`
	Signal   *string `json:"signal"`
}

// CancelRequestParams name a request by its id, as it was sent.
type CancelRequestParams struct {
	ID json.RawMessage `json:"id" rpc:"required"`
}
