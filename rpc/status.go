package rpc

// SessionParams are the params of status and detach.
type SessionParams struct {
	// The session, by its id or its name.
	SessionID string `json:"session_id" rpc:"required,nonempty"`
}

// ListParams are the params of list.
type ListParams struct {
	// Only sessions of this principal. The default is all that the caller may read: its own, and for
	// the roles `observe` and `admin` also those of others.
	Principal string `json:"principal,omitempty" rpc:"nonempty"`
	// Only sessions in this state.
	State string `json:"state,omitempty" enum:"queued,starting,running,paused,ending,ended"`
	// Only sessions that have all of these labels.
	Labels map[string]string `json:"labels,omitempty"`
	// The most sessions in the result. The default is as many as fit into a message.
	Limit *int64 `json:"limit,omitempty" min:"1"`
	// The `next` of an earlier result: only sessions after that page.
	After string `json:"after,omitempty" rpc:"nonempty"`
}

// ListResult is the result of list: a page of the caller's sessions.
type ListResult struct {
	// The sessions, newest first.
	Sessions []SessionStatus `json:"sessions"`
	// Present if there are older sessions: the `after` that lists them. It stays valid when
	// sessions are added or removed.
	Next string `json:"next,omitempty"`
	// There are older sessions, which did not fit into one message.
	Truncated bool `json:"truncated,omitempty"`
	// There may be older sessions on the server's disk, which cannot be read at the moment.
	Incomplete bool `json:"incomplete,omitempty"`
}

// SessionStatus is the state of a session. If it does not fit into a message, the command is
// shortened, and if necessary the longest labels are left out.
type SessionStatus struct {
	// The id of the session.
	SessionID string `json:"session_id"`
	// The name of the session, if it has one.
	Name string `json:"name,omitempty"`
	// The principal that the session belongs to.
	Principal string `json:"principal"`
	// The state of the session.
	State string `json:"state" enum:"queued,starting,running,paused,ending,ended"`
	// The command as it was given. Each byte that is not UTF-8 is replaced by U+FFFD.
	Command Command `json:"command"`
	// Present if the command is not UTF-8: the exact bytes of the string, or of each argument, in
	// base64.
	CommandBase64 *Base64Command `json:"command_base64,omitempty"`
	// The rest of the command did not fit into a message.
	CommandTruncated bool `json:"command_truncated,omitempty"`
	// The process id of the command itself. 0 while the session is queued or starting.
	PID int `json:"pid"`
	// The process group id of the command. 0 while the session is queued or starting.
	PGID int `json:"pgid"`
	// How the processes of the session are found and ended.
	Containment string `json:"containment" enum:"cgroup,marker,group"`
	// The limits of the session, including those that the server sets.
	Limits []HeldLimit `json:"limits,omitempty"`
	// The sandbox of the command, if it has one and runs.
	Sandbox *SandboxReport `json:"sandbox,omitempty"`
	// When the start of the session began (RFC 3339, UTC). It is left out while the session is queued.
	StartedAt string `json:"started_at,omitempty"`
	// The labels of the session.
	Labels map[string]string `json:"labels,omitempty"`
	// The longest labels did not fit into a message.
	LabelsTruncated bool `json:"labels_truncated,omitempty"`
	// The number of bytes of stdin that were accepted so far.
	StdinBytes int64 `json:"stdin_bytes"`
	// The output so far.
	Output OutputCounts `json:"output"`
	// The session was started with `record_input`.
	RecordInput bool `json:"record_input,omitempty"`
	// The seconds after which `linger` ends the session, unless a connection attaches, or a `read` or a
	// `wait` is pending. It is left out while one is, and if there is no `linger`, or the session is ending or
	// has ended.
	LingerLeft *float64 `json:"linger_left,omitempty"`
	// What is kept of the output on the server's disk. It is left out if the session has no spool.
	Spool *SpoolStatus `json:"spool,omitempty"`
	// Present if the command itself has exited and descendants kept the session running.
	Exited *ExitStatus `json:"exited,omitempty"`
	// The completion record, if the session has ended.
	Completion *Completion `json:"completion,omitempty"`
	// Why there is no completion record: the session was queued, and was not started.
	Error *StartError `json:"error,omitempty"`
}

// SpoolStatus is what is kept of the output of a session on the server's disk.
type SpoolStatus struct {
	// How many bytes of the disk the output takes. The newest output of a session that runs is not
	// included.
	Bytes int64 `json:"bytes"`
	// The oldest position in the log that can be read, from memory or the disk.
	OldestSeq int64 `json:"oldest_seq"`
	// `saving`: the session runs, and its output is kept; `kept`: it has ended; `stopped`: an error or
	// a bound has ended that before the session, and later output is kept in memory only.
	State string `json:"state" enum:"saving,kept,stopped"`
}

// ExitStatus is how a command ended.
type ExitStatus struct {
	// The exit code, or null if a signal ended the command or the server could not determine it.
	ExitCode *int `json:"exit_code"`
	// The name of the signal that ended the command, or null.
	Signal *string `json:"signal"`
}

// InputState is whether a session waits for input.
type InputState struct {
	// True if a process of the session is blocked in read, poll, select or epoll on its stdin or
	// terminal; otherwise, or if this cannot be determined, null.
	WaitingForInput *bool `json:"waiting_for_input"`
	// With `pty`, until the session has ended: whether the terminal echoes input. It is false while
	// a password is read.
	Echo *bool `json:"echo,omitempty"`
}

// StatusResult is the result of status.
type StatusResult struct {
	SessionStatus
	InputState
}
