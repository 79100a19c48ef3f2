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
	// With `offset`: who writes, as the client has named itself, in at most 64 bytes. Then `offset` is the
	// position in what this writer has written, so that several clients can write to a session, and each can
	// retry. Of a session, the server knows the 64 writers that have written last.
	Writer string `json:"writer,omitempty" rpc:"nonempty"`
}

// MaxWriterBytes is the length of the longest name of a writer.
const MaxWriterBytes = 64

// WriteResult is the result of write: the data is in the stdin queue.
type WriteResult struct {
	// The number of bytes of stdin that were accepted so far.
	StdinBytes int64 `json:"stdin_bytes"`
}
