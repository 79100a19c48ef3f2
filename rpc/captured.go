package rpc

// CapturedOutput is the newest output of each stream, and where the execute asked for it, the oldest: the head is what
// lies before the newest, with the omitted bytes between. Encoding and Replaced are those of both.
type CapturedOutput struct {
	StdoutHead         *string `json:"stdout_head,omitempty"`
	StdoutOmittedBytes *int64  `json:"stdout_omitted_bytes,omitempty"`
	Stdout             *string `json:"stdout,omitempty"`
	StdoutTruncated    bool    `json:"stdout_truncated,omitempty"`
	StdoutEncoding     string  `json:"stdout_encoding,omitempty"`
	StdoutReplaced     int     `json:"stdout_replaced,omitempty"`
	StderrHead         *string `json:"stderr_head,omitempty"`
	StderrOmittedBytes *int64  `json:"stderr_omitted_bytes,omitempty"`
	Stderr             *string `json:"stderr,omitempty"`
	StderrTruncated    bool    `json:"stderr_truncated,omitempty"`
	StderrEncoding     string  `json:"stderr_encoding,omitempty"`
	StderrReplaced     int     `json:"stderr_replaced,omitempty"`
	PTYHead            *string `json:"pty_head,omitempty"`
	PTYOmittedBytes    *int64  `json:"pty_omitted_bytes,omitempty"`
	PTY                *string `json:"pty,omitempty"`
	PTYTruncated       bool    `json:"pty_truncated,omitempty"`
	PTYEncoding        string  `json:"pty_encoding,omitempty"`
	PTYReplaced        int     `json:"pty_replaced,omitempty"`
}

// Captured is a reply to execute with wait, and to wait with capture_bytes: the completion record, and beside it the
// output.
type Captured struct {
	Completion
	CapturedOutput
}

// StatusRunning is the status of [StillRunning].
const StatusRunning = "running"

// StillRunning answers an execute with wait whose wait_timeout has passed: the session goes on. LastSeq is the place in
// the log where the output ends.
type StillRunning struct {
	Status    string `json:"status"`
	SessionID string `json:"session_id"`
	LastSeq   int64  `json:"last_seq"`
	CapturedOutput
}
