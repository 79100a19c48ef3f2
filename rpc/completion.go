package rpc

// The reasons why a session ended.
const (
	ReasonExited        = "exited"
	ReasonSignaled      = "signaled"
	ReasonCanceled      = "canceled"
	ReasonTimeout       = "timeout"
	ReasonStreamTimeout = "stream_timeout"
	ReasonLimit         = "limit"
	ReasonDisconnected  = "disconnected"
	ReasonShutdown      = "shutdown"
	ReasonLost          = "lost"
)

// The statuses of an ended session.
const (
	StatusCompleted = "completed"
	StatusCanceled  = "canceled"
	StatusFailed    = "failed"
)

// StatusQueued is the status of [QueuedResult], and of [StillRunning] while the session is queued.
const StatusQueued = "queued"

// StatusRunning is the status of [StillRunning].
const StatusRunning = "running"

// Completion is the completion record. Exactly one of `exit_code` and `signal` is not null, as the
// kernel reported it. If the server could not determine it, both are null, and `reason` is `lost`
// unless the server was ending the session.
type Completion struct {
	// The session.
	SessionID string `json:"session_id"`
	// The principal that the session belongs to.
	Principal string `json:"principal"`
	// The position in the log at the end of this event: the number of bytes of output, plus 1 for
	// each state event.
	Seq int64 `json:"seq"`
	// `completed`: the command exited with code 0; `canceled`; `failed`: anything else.
	Status string `json:"status" enum:"completed,canceled,failed"`
	// The exit code, or null if a signal ended the command or the server could not determine it.
	ExitCode *int `json:"exit_code"`
	// The name of the signal that ended the command, or null.
	Signal *string `json:"signal"`
	// The first cause of the end.
	Reason string `json:"reason" enum:"exited,signaled,canceled,timeout,stream_timeout,limit,disconnected,shutdown,lost"`
	// With reason `limit`: the limit for which the kernel ended the command.
	Limit string `json:"limit,omitempty" enum:"cpu_seconds,memory_bytes,processes,open_files,file_bytes"`
	// SIGKILL was sent.
	Escalated bool `json:"escalated"`
	// The process ids of the processes that could not be killed.
	Survivors []int `json:"survivors"`
	// False if the processes of the tree could not be listed, so that others than `survivors` may
	// be alive.
	SurvivorsVerified bool `json:"survivors_verified"`
	// The process id of the command itself.
	PID int `json:"pid"`
	// The process group id of the command.
	PGID int `json:"pgid"`
	// The time in seconds from the start to the exit of the command itself.
	ExecutionTime float64 `json:"execution_time"`
	// The resources that the command used.
	Usage Usage `json:"usage"`
	// The output of the session.
	Output OutputCounts `json:"output"`
	// The sandbox of the command, if it had one.
	Sandbox *SandboxReport `json:"sandbox,omitempty"`
}

// Usage is what the kernel accounted to the command and to the children that it waited for; with
// containment `cgroup` the times are those of the whole tree. A value that cannot be determined is
// null.
type Usage struct {
	// CPU time in user mode, in seconds.
	UserTime *float64 `json:"user_time"`
	// CPU time in kernel mode, in seconds.
	SystemTime *float64 `json:"system_time"`
	// The largest resident set of a process, in bytes; if a cgroup accounts the memory of the tree,
	// its peak.
	MaxRSSBytes *int64 `json:"max_rss_bytes"`
}

// OutputCounts counts the output of a session.
type OutputCounts struct {
	// Bytes that the processes wrote to stdout, truncated or not.
	StdoutBytes int64 `json:"stdout_bytes"`
	// Bytes that the processes wrote to stderr, truncated or not.
	StderrBytes int64 `json:"stderr_bytes"`
	// Bytes that the processes wrote to the terminal, truncated or not.
	PTYBytes int64 `json:"pty_bytes"`
	// Lines that were truncated.
	TruncatedLines int64 `json:"truncated_lines"`
	// Bytes that truncation dropped.
	DroppedBytes int64 `json:"dropped_bytes"`
	// Bytes that were removed from the log before any connection had received them.
	LostBytes int64 `json:"lost_bytes"`
}

// WaitParams are the params of wait.
type WaitParams struct {
	// The session, by its id or its name.
	SessionID string `json:"session_id" rpc:"required,nonempty"`
	// The longest wait in seconds, after which the error is -32004; 0 does not wait. Null is no
	// limit, which is the default.
	Timeout Seconds `json:"timeout,omitzero"`
	// How many of the newest bytes of each stream the result has, at most `replay_bytes` of
	// `connected`. The default is none.
	CaptureBytes *int64 `json:"capture_bytes,omitempty" min:"0"`
}

// Captured is the result of wait, and of execute with wait: the completion record, and the captured
// output if it was requested.
type Captured struct {
	Completion
	CapturedOutput
}

// StillRunning is the result of execute with wait if `wait_timeout` has passed: the output so far,
// if it was requested. The session continues.
type StillRunning struct {
	// The session has not ended, or is still queued (`queue_timeout`).
	Status string `json:"status" enum:"running,queued"`
	// The session.
	SessionID string `json:"session_id"`
	// The principal that the session belongs to.
	Principal string `json:"principal"`
	// The position in the log at which the output ends: `read` and `attach` continue after it.
	LastSeq int64 `json:"last_seq"`
	CapturedOutput
}

// CapturedOutput is the newest output of each stream, and with `capture_head_bytes` also the
// oldest. The encoding and the number of replaced bytes apply to both parts.
type CapturedOutput struct {
	// With `capture_head_bytes`: the oldest output of stdout that is not part of `stdout`.
	StdoutHead *string `json:"stdout_head,omitempty"`
	// With `capture_head_bytes`: the number of bytes between `stdout_head` and `stdout`.
	StdoutOmittedBytes *int64 `json:"stdout_omitted_bytes,omitempty"`
	// The newest output of stdout.
	Stdout *string `json:"stdout,omitempty"`
	// There was more output of stdout than the result has.
	StdoutTruncated bool `json:"stdout_truncated,omitempty"`
	// How the output of stdout is encoded. The default is utf8.
	StdoutEncoding string `json:"stdout_encoding,omitempty" enum:"utf8,base64"`
	// The number of bytes of stdout that were not UTF-8 and were replaced by U+FFFD.
	StdoutReplaced int `json:"stdout_replaced,omitempty"`
	// With `capture_head_bytes`: the oldest output of stderr that is not part of `stderr`.
	StderrHead *string `json:"stderr_head,omitempty"`
	// With `capture_head_bytes`: the number of bytes between `stderr_head` and `stderr`.
	StderrOmittedBytes *int64 `json:"stderr_omitted_bytes,omitempty"`
	// The newest output of stderr.
	Stderr *string `json:"stderr,omitempty"`
	// There was more output of stderr than the result has.
	StderrTruncated bool `json:"stderr_truncated,omitempty"`
	// How the output of stderr is encoded. The default is utf8.
	StderrEncoding string `json:"stderr_encoding,omitempty" enum:"utf8,base64"`
	// The number of bytes of stderr that were not UTF-8 and were replaced by U+FFFD.
	StderrReplaced int `json:"stderr_replaced,omitempty"`
	// With `capture_head_bytes`: the oldest output of the terminal that is not part of `pty`.
	PTYHead *string `json:"pty_head,omitempty"`
	// With `capture_head_bytes`: the number of bytes between `pty_head` and `pty`.
	PTYOmittedBytes *int64 `json:"pty_omitted_bytes,omitempty"`
	// The newest output of the terminal.
	PTY *string `json:"pty,omitempty"`
	// There was more output of the terminal than the result has.
	PTYTruncated bool `json:"pty_truncated,omitempty"`
	// How the output of the terminal is encoded. The default is utf8.
	PTYEncoding string `json:"pty_encoding,omitempty" enum:"utf8,base64"`
	// The number of bytes of the terminal's output that were not UTF-8 and were replaced by U+FFFD.
	PTYReplaced int `json:"pty_replaced,omitempty"`
}
