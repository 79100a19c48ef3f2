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

// ControlTypes are all control types, in the order in which an error lists them.
var ControlTypes = []string{ControlPause, ControlResume, ControlCancel, ControlSignal, ControlResize}

// The processes that a SIGNAL is sent to.
const (
	ToTree   = "tree"
	ToLeader = "leader"
)

// ControlParams are the params of control.
type ControlParams struct {
	// The session, by its id or its name. The default is the connection's only session that has not ended.
	SessionID string `json:"session_id,omitempty" rpc:"nonempty"`
	// PAUSE stops the whole tree and its deadlines, RESUME continues it, CANCEL ends it, SIGNAL
	// sends it a signal, RESIZE sets the size of its terminal.
	Type string `json:"type" rpc:"required" values:"PAUSE,RESUME,CANCEL,SIGNAL,RESIZE"`
	// With SIGNAL: the name of a signal as in signal(7), with or without SIG, or as a record has
	// it: SIGINT, INT, SIG34, RTMIN+1. With CANCEL: the first signal, instead of the session's
	// `stop_signal`. SIGSTOP is not allowed, and SIGCONT is not with CANCEL, nor for a paused session.
	Signal string `json:"signal,omitempty"`
	// With SIGNAL: the processes that it is sent to, the whole `tree` or the `leader`, which is the
	// command itself.
	To string `json:"to,omitempty" enum:"tree,leader" default:"tree"`
	// With CANCEL: the time in seconds between the first signal and SIGKILL; null or 0 is SIGKILL
	// at once. The default is the session's.
	Grace Seconds `json:"grace,omitzero"`
	// With RESIZE: the new height in characters.
	Rows int `json:"rows,omitempty" min:"1" max:"65535"`
	// With RESIZE: the new width in characters.
	Cols int `json:"cols,omitempty" min:"1" max:"65535"`
}

// ControlResult is the result of control.
type ControlResult struct {
	// `paused`, `resumed`, `signaled` or `resized`; for CANCEL the status of the completion record.
	Status string `json:"status" enum:"paused,resumed,signaled,resized,completed,canceled,failed"`
	// The session.
	SessionID string `json:"session_id"`
	// With SIGNAL: the process ids of the processes that were not signaled, because they belong to
	// another user. Left out if there are none.
	NotSignaled []int `json:"not_signaled,omitempty"`
}

// CancelParams are the params of cancel.
type CancelParams struct {
	// The session, by its id or its name. The default is the connection's only session that has not ended.
	SessionID string `json:"session_id,omitempty" rpc:"nonempty"`
	// The time in seconds between the first signal and SIGKILL; null or 0 is SIGKILL at once. The
	// default is the session's.
	Grace Seconds `json:"grace,omitzero"`
	// The first signal, instead of the session's `stop_signal`. It is also sent to a session that
	// is already ending.
	Signal string `json:"signal,omitempty"`
}

// CancelResult is the result of cancel: the session has ended.
type CancelResult struct {
	// The status of the completion record: `canceled` unless something else ended the session
	// first.
	Status string `json:"status" enum:"completed,canceled,failed"`
	// The session.
	SessionID string `json:"session_id"`
	// SIGKILL was sent.
	Escalated bool `json:"escalated"`
	// The process ids of the processes that could not be killed.
	Survivors []int `json:"survivors"`
	// False if the processes of the tree could not be listed, so that others than `survivors` may
	// be alive.
	SurvivorsVerified bool `json:"survivors_verified"`
}

// CancelRequestParams are the params of $/cancelRequest.
type CancelRequestParams struct {
	// The id of the request to cancel, as it was sent.
	ID json.RawMessage `json:"id" rpc:"required" type:"string,number"`
}
