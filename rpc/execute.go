package rpc

// The values that the enumerated params take.
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

	OnDisconnectKill = "kill"
	OnDisconnectKeep = "keep"

	OnLeaderExitKill = "kill"
	OnLeaderExitWait = "wait"
)

// ExecuteParams are the params of execute. A zero field was left out: the server's default holds.
type ExecuteParams struct {
	Command          Command           `json:"command" rpc:"required"`
	Cwd              Bytes             `json:"cwd,omitempty"`
	Env              Env               `json:"env,omitempty"`
	SessionID        string            `json:"session_id,omitempty" rpc:"nonempty"`
	Stdin            string            `json:"stdin,omitempty" enum:"none,pipe"`
	MergeStderr      bool              `json:"merge_stderr,omitempty"`
	PTY              *PTY              `json:"pty,omitempty"`
	Timeout          Seconds           `json:"timeout,omitzero"`
	StreamTimeout    Seconds           `json:"stream_timeout,omitzero"`
	Grace            Seconds           `json:"grace,omitzero"`
	Mode             string            `json:"mode,omitempty" enum:"lines,raw"`
	MaxLineBytes     *int64            `json:"max_line_bytes,omitempty" min:"1" max:"1073741824"`
	Overflow         string            `json:"overflow,omitempty" enum:"truncate,split"`
	Encoding         string            `json:"encoding,omitempty" enum:"utf8,base64,auto"`
	Wait             bool              `json:"wait,omitempty"`
	CaptureBytes     *int64            `json:"capture_bytes,omitempty" min:"0"`
	CaptureHeadBytes *int64            `json:"capture_head_bytes,omitempty" min:"0"`
	WaitTimeout      Seconds           `json:"wait_timeout,omitzero"`
	Stream           *bool             `json:"stream,omitempty"`
	SlowClient       string            `json:"slow_client,omitempty" enum:"block,drop"`
	Window           *int64            `json:"window,omitempty" min:"1"`
	OnDisconnect     string            `json:"on_disconnect,omitempty" enum:"kill,keep"`
	Linger           Seconds           `json:"linger,omitzero"`
	OnLeaderExit     string            `json:"on_leader_exit,omitempty" enum:"kill,wait"`
	StopSignal       string            `json:"stop_signal,omitempty"`
	Limits           *Limits           `json:"limits,omitempty"`
	Umask            *int64            `json:"umask,omitempty" min:"0" max:"511"`
	Nice             *int64            `json:"nice,omitempty" min:"-20" max:"19"`
	SoftLimits       *SoftLimits       `json:"soft_limits,omitempty"`
	Labels           map[string]string `json:"labels,omitempty"`
}

// PTY asks for a terminal of Rows by Cols characters; Term is its TERM.
type PTY struct {
	Rows int    `json:"rows" rpc:"required" min:"1" max:"65535"`
	Cols int    `json:"cols" rpc:"required" min:"1" max:"65535"`
	Term string `json:"term,omitempty"`
}

// Limits bound what a session may use: memory and processes of the tree, the others of each process.
type Limits struct {
	CPUSeconds  *float64 `json:"cpu_seconds,omitempty" min:"0"`
	MemoryBytes *int64   `json:"memory_bytes,omitempty" min:"1"`
	Processes   *int64   `json:"processes,omitempty" min:"1" max:"4194304"`
	OpenFiles   *int64   `json:"open_files,omitempty" min:"1"`
	FileBytes   *int64   `json:"file_bytes,omitempty" min:"0"`
}

// HeldLimit is a limit of a session, and what enforces it.
type HeldLimit struct {
	Limit string `json:"limit"`
	Value int64  `json:"value"`
	By    string `json:"by"`
}

// ExecuteResult answers an execute without wait, once the process runs.
type ExecuteResult struct {
	Status      string `json:"status"`
	SessionID   string `json:"session_id"`
	PID         int    `json:"pid"`
	PGID        int    `json:"pgid"`
	Containment string `json:"containment"`
	Created     bool   `json:"created"`
}
