package rpc

// The values of enumerated params.
const (
	StdinNone = "none"
	StdinPipe = "pipe"

	ModeLines = "lines"
	ModeRaw   = "raw"

	OverflowTruncate = "truncate"
	OverflowSplit    = "split"

	EncodingUTF8   = "utf8"
	EncodingBase64 = "base64"
	EncodingAuto   = "auto"

	SlowClientBlock = "block"
	SlowClientDrop  = "drop"
	SlowClientSpool = "spool"

	OnDisconnectKill = "kill"
	OnDisconnectKeep = "keep"

	OnLeaderExitKill = "kill"
	OnLeaderExitWait = "wait"
)

// ExecuteParams are the params of execute. A zero field is left out, so that the server's default
// applies.
type ExecuteParams struct {
	// A string is run by the server's shell, `/bin/sh -c` unless configured. An array of strings is
	// run directly, without a shell. It must not be empty.
	Command Command `json:"command" rpc:"required"`
	// The working directory. A relative path is relative to the server's working directory, which
	// is also the default. If it cannot be entered, the error is -32008 with its path.
	Cwd Bytes `json:"cwd,omitempty"`
	// Changes to the environment that the server passes on: a string sets a variable, null unsets
	// it. PWD is `cwd`, or the server's working directory, unless it is set here.
	Env Env `json:"env,omitempty"`
	// The name or the decimal id of the user to run as, if the server's policy permits it; else the
	// error is -32001. If the server lacks the privilege, it is -32008 with `EPERM`.
	User string `json:"user,omitempty" rpc:"nonempty"`
	// An id that the client chose. If it is left out, the server makes one. The same execute again,
	// while the session is kept, is answered with `created:false`, so it is safe to retry after a
	// lost reply. Other params with the same id are -32007.
	SessionID string `json:"session_id,omitempty" rpc:"nonempty"`
	// A name, by which requests may refer to the session instead of its id: a letter from a to z, and at
	// most 62 of a-z, 0-9, `_`, `.` and `-`, but not a UUID. If another session of the caller that has not
	// ended has it, the error is -32007 with the id of that session.
	Name string `json:"name,omitempty" rpc:"nonempty"`
	// `pipe` for a stdin that `write` feeds.
	Stdin string `json:"stdin,omitempty" enum:"none,pipe" default:"none"`
	// Makes stderr the same pipe as stdout, so that what is written to both keeps its order. All of
	// it is `stdout`. It has no effect with `pty`, where this is always so.
	MergeStderr bool `json:"merge_stderr,omitempty" default:"false"`
	// Runs the command on a terminal. Its output has the type `pty`, and its stdin is open.
	PTY *PTY `json:"pty,omitempty"`
	// The longest running time in seconds, not counting pauses; null or 0 is no limit. The default
	// is the server's: no limit unless configured.
	Timeout Seconds `json:"timeout,omitzero"`
	// The longest time in seconds without output on any stream, not counting pauses and time in
	// which a client makes the process wait. Writing to stdin restarts it. Null or 0 is no limit.
	// The default is the server's, 300 unless configured, and no limit with `pty` or
	// `on_disconnect:"keep"`.
	StreamTimeout Seconds `json:"stream_timeout,omitzero"`
	// The time in seconds between `stop_signal` and SIGKILL whenever the server ends the tree; null
	// or 0 is SIGKILL at once. The default is the server's, 2 unless configured.
	Grace Seconds `json:"grace,omitzero"`
	// `lines` sends whole lines, as many as are ready; `raw` sends chunks as they are read. The
	// default is `lines`, and `raw` with `pty`.
	Mode string `json:"mode,omitempty" enum:"lines,raw"`
	// The longest line in bytes, without its newline. The default is 1 MiB.
	MaxLineBytes *int64 `json:"max_line_bytes,omitempty" min:"1" max:"1073741824"`
	// What is done with a longer line: `truncate` ends it with `...`, `split` cuts it into pieces.
	Overflow string `json:"overflow,omitempty" enum:"truncate,split" default:"truncate"`
	// `utf8` replaces each byte that is not UTF-8 by U+FFFD and counts these; `base64` encodes all
	// output; `auto` encodes in base64 only what is not UTF-8.
	Encoding string `json:"encoding,omitempty" enum:"utf8,base64,auto" default:"utf8"`
	// Answers when the session has ended, with the completion record and the captured output.
	Wait bool `json:"wait,omitempty" default:"false"`
	// With `wait`: how many of the newest bytes of each stream the result has, at most
	// `replay_bytes` of `connected`; 0 is none.
	CaptureBytes *int64 `json:"capture_bytes,omitempty" min:"0" default:"65536"`
	// How many of the oldest bytes of each stream the result has in addition, at most
	// `replay_bytes` of `connected`. It also applies to the result of `wait`. Each part is cut at
	// the end of a line if there is one within 4 KiB.
	CaptureHeadBytes *int64 `json:"capture_head_bytes,omitempty" min:"0" default:"0"`
	// With `wait`: after this many seconds the result is `status:"running"` with the output so far,
	// and the session continues; 0 is at once. Null is no limit, which is the default.
	WaitTimeout Seconds `json:"wait_timeout,omitzero"`
	// The longest time in seconds to wait for a slot if the limit of sessions or of starts is reached;
	// null is no limit; 0 is not to wait, which is the default. While the session waits, its state is
	// `queued`; if the time passes, its start fails with -32003.
	QueueTimeout Seconds `json:"queue_timeout,omitzero"`
	// Sends `process.output` to this connection. If it is false, the connection gets all other
	// events, and the process does not wait for it. The default is true, and false with `wait`.
	Stream *bool `json:"stream,omitempty"`
	// What is done if this connection falls behind by more than the replay window: `block` makes
	// the process wait, `drop` loses the oldest output, which a `process.gap` reports, and `spool`
	// reads from the server's disk what left the window; it is -32602 if the output is not kept there.
	SlowClient string `json:"slow_client,omitempty" enum:"block,drop,spool" default:"block"`
	// The most positions of the log (bytes of output, and 1 for each state event) that are sent to
	// this connection and not acknowledged by `ack`. It
	// has no effect with `stream:false`. By default only the socket limits them.
	Window *int64 `json:"window,omitempty" min:"1"`
	// What is done when the last attached connection closes: `kill` ends the tree, `keep` lets it
	// run.
	OnDisconnect string `json:"on_disconnect,omitempty" enum:"kill,keep" default:"kill"`
	// The longest time in seconds with no attached connection and no `read` or `wait`; null or 0 is
	// no limit. The default is the server's, 300 unless configured.
	Linger Seconds `json:"linger,omitzero"`
	// What is done with descendants that run when the command itself exits: `kill` them, or `wait`
	// for them.
	OnLeaderExit string `json:"on_leader_exit,omitempty" enum:"kill,wait" default:"kill"`
	// The first signal whenever the server ends the tree: its name as in signal(7), with or without
	// SIG, or as a record has it. With `SIGKILL` there is no grace. SIGSTOP and SIGCONT are not
	// allowed.
	StopSignal string `json:"stop_signal,omitempty" default:"SIGTERM"`
	// Limits of what the session may use. The default of each is the server's.
	Limits *Limits `json:"limits,omitempty"`
	// The permission bits that files and directories which the command creates do not get; 18 is
	// 022 in octal. The default is the server's own.
	Umask *int64 `json:"umask,omitempty" min:"0" max:"511"`
	// The nice value of the command: the higher, the less processor time it gets. The default is
	// the server's own. A value below `min_nice` of `connected` is -32602.
	Nice *int64 `json:"nice,omitempty" min:"-20" max:"19"`
	// Soft limits of the command. The default of each is the server's own.
	SoftLimits *SoftLimits `json:"soft_limits,omitempty"`
	// What the command may reach: the name of a profile, or an object. What the server requires
	// cannot be exceeded. The default is that, and no sandbox if it requires none. With a sandbox the
	// command can gain no privileges, and `cwd` must not contain `..`.
	Sandbox *Sandbox `json:"sandbox,omitempty"`
	// Where the caller is in a trace: a traceparent of W3C Trace Context. The command gets it as
	// TRACEPARENT, whatever `env` has, and the trace id is in the server's logs. An execute that is
	// repeated may have another one.
	Traceparent string `json:"traceparent,omitempty" rpc:"nonempty"`
	// Keeps all output on the server's disk, within `spool_bytes` of `connected`, if it has a spool.
	// Without it, only the record is kept there.
	Spool *bool `json:"spool,omitempty" default:"true"`
	// With `pty` (else -32602): also keeps what is written to the terminal, with its times, while the
	// terminal echoes before and after: not passwords, nor what programs without echo read, such as editors.
	// `recording` returns it.
	RecordInput bool `json:"record_input,omitempty" default:"false"`
	// Names and values that `status` and `list` return, and by which `list` selects sessions.
	Labels map[string]string `json:"labels,omitempty"`
}

// PTY is the terminal of a command.
type PTY struct {
	// The height in characters.
	Rows int `json:"rows" rpc:"required" min:"1" max:"65535"`
	// The width in characters.
	Cols int `json:"cols" rpc:"required" min:"1" max:"65535"`
	// The value of TERM.
	Term string `json:"term,omitempty"`
}

// ExecuteResult is the result of execute without wait: the process runs.
type ExecuteResult struct {
	// The process was started.
	Status string `json:"status" enum:"started"`
	// The session.
	SessionID string `json:"session_id"`
	// The process id of the command itself.
	PID int `json:"pid"`
	// The process group id of the command.
	PGID int `json:"pgid"`
	// How the processes of the session are found and ended.
	Containment string `json:"containment" enum:"cgroup,marker,group"`
	// The sandbox of the command, if it has one.
	Sandbox *SandboxReport `json:"sandbox,omitempty"`
	// False if an earlier execute with the same id and params created the session.
	Created bool `json:"created"`
}

// QueuedResult is the result of execute without wait if the session waits for a slot.
type QueuedResult struct {
	// The session waits for a slot.
	Status string `json:"status" enum:"queued"`
	// The session.
	SessionID string `json:"session_id"`
	// False if an earlier execute with the same id and params created the session.
	Created bool `json:"created"`
}
