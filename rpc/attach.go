package rpc

import "encoding/json"

// AttachParams are the params of attach. A zero SlowClient is block; AfterSeq left out is 0.
type AttachParams struct {
	SessionID  string `json:"session_id" rpc:"required,nonempty"`
	AfterSeq   int64  `json:"after_seq,omitempty" min:"0"`
	SlowClient string `json:"slow_client,omitempty" enum:"block,drop"`
	Window     *int64 `json:"window,omitempty" min:"1"`
	Take       bool   `json:"take,omitempty"`
}

// AttachResult says where the session is and which part of its log is kept: what lies between OldestSeq and
// LastSeq can be had.
type AttachResult struct {
	SessionID string `json:"session_id"`
	State     string `json:"state"`
	OldestSeq int64  `json:"oldest_seq"`
	LastSeq   int64  `json:"last_seq"`
}

// AckParams say that all up to Seq is consumed: the window opens behind it.
type AckParams struct {
	SessionID string `json:"session_id" rpc:"required,nonempty"`
	Seq       int64  `json:"seq" rpc:"required" min:"0"`
}

// DetachResult is empty.
type DetachResult struct{}

// ReadParams are the params of read. MaxBytes bounds the output in the answer, and Timeout, in seconds, the
// wait for the first event: left out, it waits for good; 0 polls.
type ReadParams struct {
	SessionID string  `json:"session_id" rpc:"required,nonempty"`
	AfterSeq  int64   `json:"after_seq,omitempty" min:"0"`
	MaxBytes  *int64  `json:"max_bytes,omitempty" min:"1"`
	Timeout   Seconds `json:"timeout,omitzero"`
}

// ReadResult is what follows in a session's log, as the notifications would have told it. LastSeq is the
// place to read on from; Done says that the completion record was the last.
type ReadResult struct {
	Events  []Event `json:"events"`
	LastSeq int64   `json:"last_seq"`
	Done    bool    `json:"done"`
	InputState
}

// Event is a notification as read gives it.
type Event struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}
