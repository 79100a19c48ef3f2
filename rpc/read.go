package rpc

import "encoding/json"

// ReadParams are the params of read.
type ReadParams struct {
	// The session, by its id or its name.
	SessionID string `json:"session_id" rpc:"required,nonempty"`
	// The position after which the events begin. Any position is allowed.
	AfterSeq int64 `json:"after_seq,omitempty" min:"0" default:"0"`
	// Output that was written less than so many seconds ago, if that begins later than after_seq. Some that
	// is a little older may precede it: the server knows the times of up to 257 positions.
	Since Seconds `json:"since,omitzero"`
	// The most output in the result, in bytes. The next read returns more.
	MaxBytes *int64 `json:"max_bytes,omitempty" min:"1"`
	// The longest wait for a first event in seconds, after which the result is empty; 0 does not
	// wait. Null is no limit, which is the default.
	Timeout Seconds `json:"timeout,omitzero"`
}

// ReadResult is the result of read: the events that follow in the log.
type ReadResult struct {
	// The events, in their order. A gap is one of them.
	Events []Event `json:"events"`
	// The position to continue from.
	LastSeq int64 `json:"last_seq"`
	// The completion record, or `process.failed`, was returned; no events follow.
	Done bool `json:"done"`
	InputState
}

// Event is a notification in the result of read, as it would have been sent.
type Event struct {
	// The method of the notification.
	Method string `json:"method" enum:"process.queued,process.started,process.output,process.gap,process.paused,process.resumed,process.canceled,process.exited,process.spool,process.failed,process.completed"`
	// The params of the notification.
	Params json.RawMessage `json:"params" type:"object"`
}
