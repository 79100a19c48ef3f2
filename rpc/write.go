package rpc

// WriteParams are the params of write.
type WriteParams struct {
	// The session, by its id or its name. The default is the connection's only session that has not ended.
	SessionID string `json:"session_id,omitempty" rpc:"nonempty"`
	// What to write to stdin, encoded as `encoding`.
	Data *string `json:"data,omitempty"`
	// The encoding of `data`.
	Encoding string `json:"encoding,omitempty" enum:"utf8,base64" default:"utf8"`
	// Closes stdin after the data; on a terminal, writes VEOF.
	EOF bool `json:"eof,omitempty" default:"false"`
	// The position of `data` in all of stdin, in bytes. What the server already has is skipped, so
	// that a retry does not write anything twice. A position beyond `stdin_bytes` is -32602. By
	// default the data follows what was written before.
	Offset *int64 `json:"offset,omitempty" min:"0"`
}

// WriteResult is the result of write: the data is in the stdin queue.
type WriteResult struct {
	// The number of bytes of stdin that were accepted so far.
	StdinBytes int64 `json:"stdin_bytes"`
}
