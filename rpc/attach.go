package rpc

// AttachParams are the params of attach.
type AttachParams struct {
	// The session, by its id or its name.
	SessionID string `json:"session_id" rpc:"required,nonempty"`
	// The position after which the events begin. Any position is allowed.
	AfterSeq int64 `json:"after_seq,omitempty" min:"0" default:"0"`
	// Output that was written less than so many seconds ago, if that begins later than after_seq. Some that
	// is a little older may precede it: the server knows the times of up to 257 positions.
	Since Seconds `json:"since,omitzero"`
	// What is done if this connection falls behind by more than the replay window: `block` makes
	// the process wait, `drop` loses the oldest output, which a `process.gap` reports, and `spool`
	// reads from the server's disk what left the window; it is -32602 if the output is not kept there.
	SlowClient string `json:"slow_client,omitempty" enum:"block,drop,spool" default:"block"`
	// The most positions of the log (bytes of output, and 1 for each state event) that are sent to
	// this connection and not acknowledged by `ack`. By
	// default only the socket limits them.
	Window *int64 `json:"window,omitempty" min:"1"`
	// Detaches all other connections.
	Take bool `json:"take,omitempty" default:"false"`
	// The first event is `process.screen`, which paints the terminal as it is now, and the events that
	// follow it come next. Only for a session with `pty`, and not with `after_seq` or `since`.
	Screen bool `json:"screen,omitempty" default:"false"`
	// With `screen` and `cols`: the terminal gets this size before it is painted, as with `control` RESIZE,
	// unless the session does not run.
	Rows int `json:"rows,omitempty" min:"1" max:"65535"`
	// With `screen` and `rows`.
	Cols int `json:"cols,omitempty" min:"1" max:"65535"`
}

// AttachResult is the result of attach: the connection is attached, and the events follow.
type AttachResult struct {
	// The session.
	SessionID string `json:"session_id"`
	// The state of the session.
	State string `json:"state" enum:"queued,starting,running,paused,ending,ended"`
	// The position at which the part of the log that is kept begins.
	OldestSeq int64 `json:"oldest_seq"`
	// The position at which the log ends now.
	LastSeq int64 `json:"last_seq"`
}

// AckParams are the params of ack.
type AckParams struct {
	// The session, by its id or its name.
	SessionID string `json:"session_id" rpc:"required,nonempty"`
	// All output up to this position is consumed.
	Seq int64 `json:"seq" rpc:"required" min:"0"`
}

// DetachResult is the result of detach: the connection is no longer attached. It has no members.
type DetachResult struct{}
