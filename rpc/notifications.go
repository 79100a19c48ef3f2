package rpc

// The notifications that the server sends.
const (
	NotifyConnected = "connected"
	NotifyStarted   = "process.started"
	NotifyOutput    = "process.output"
	NotifyGap       = "process.gap"
	NotifyPaused    = "process.paused"
	NotifyResumed   = "process.resumed"
	NotifyCanceled  = "process.canceled"
	NotifyExited    = "process.exited"
	NotifyCompleted = "process.completed"
	NotifyShutdown  = "server.shutdown"
)

// Version is the version of the protocol.
const Version = 1

// MaxFrameBytes is the longest message that the server sends.
const MaxFrameBytes = 1 << 20

// MaxOutputBytes is the most output that one notification carries, before escaping.
const MaxOutputBytes = 64 << 10

// Connected is the first message on every connection. SessionID equals ConnectionID, for clients of the
// Python original.
type Connected struct {
	ConnectionID string   `json:"connection_id"`
	SessionID    string   `json:"session_id"`
	Server       string   `json:"server"`
	Version      string   `json:"version"`
	Protocol     int      `json:"protocol"`
	Capabilities []string `json:"capabilities"`
	Limits       Bounds   `json:"limits"`
}

// Bounds are the server's, as connected tells them: counts, bytes, and seconds.
type Bounds struct {
	MaxSessions         int     `json:"max_sessions"`
	MaxConnections      int     `json:"max_connections"`
	MaxMessageBytes     int64   `json:"max_message_bytes"`
	MaxInFlight         int     `json:"max_in_flight"`
	MaxInFlightBytes    int64   `json:"max_in_flight_bytes"`
	MaxBatch            int     `json:"max_batch"`
	MaxAttached         int     `json:"max_attached"`
	MaxRetained         int     `json:"max_retained"`
	ReplayBytes         int64   `json:"replay_bytes"`
	ReplayTotal         int64   `json:"replay_total"`
	Retain              float64 `json:"retain"`
	StdinQueueBytes     int64   `json:"stdin_queue_bytes"`
	MaxOutputBytes      int     `json:"max_output_bytes"`
	PingInterval        float64 `json:"ping_interval"`
	WriteTimeout        float64 `json:"write_timeout"`
	DefaultStreamTime   float64 `json:"stream_timeout"`
	DefaultTimeout      float64 `json:"timeout"`
	DefaultGrace        float64 `json:"grace"`
	DefaultLinger       float64 `json:"linger"`
	DefaultMaxLineBytes int64   `json:"max_line_bytes"`
	MinNice             int     `json:"min_nice"`
}

// StateEvent is the params of process.started, .paused, .resumed and .canceled. Status is the method's
// last word.
type StateEvent struct {
	SessionID string `json:"session_id"`
	Seq       int64  `json:"seq"`
	Status    string `json:"status"`
	PID       int    `json:"pid"`
	PGID      int    `json:"pgid"`
}

// Exited is the params of process.exited. Seq is the place at which it lies, and takes none of its own.
type Exited struct {
	SessionID string  `json:"session_id"`
	Seq       int64   `json:"seq"`
	ExitCode  *int    `json:"exit_code"`
	Signal    *string `json:"signal"`
}

// The streams that output comes from.
const (
	StreamStdout = "stdout"
	StreamStderr = "stderr"
	StreamPTY    = "pty"
)

// Output is the params of process.output. Data is text in Encoding; no Encoding means utf8. Seq is the
// place in the log at the end of Data.
type Output struct {
	SessionID    string `json:"session_id"`
	Seq          int64  `json:"seq"`
	Type         string `json:"type"`
	Data         string `json:"data"`
	Encoding     string `json:"encoding,omitempty"`
	Truncated    bool   `json:"truncated,omitempty"`
	Partial      bool   `json:"partial,omitempty"`
	Replaced     int    `json:"replaced,omitempty"`
	DroppedBytes int64  `json:"dropped_bytes,omitempty"`
}

// The reasons of a gap.
const (
	GapSlowClient   = "slow_client"
	GapReplayWindow = "replay_window"
)

// Gap is the params of process.gap: what lay between FromSeq and Seq is gone, LostBytes of it output.
type Gap struct {
	SessionID string `json:"session_id"`
	Seq       int64  `json:"seq"`
	FromSeq   int64  `json:"from_seq"`
	LostBytes int64  `json:"lost_bytes"`
	Reason    string `json:"reason"`
}

// Shutdown is the params of server.shutdown. Drain is the seconds that running sessions have.
type Shutdown struct {
	Drain float64 `json:"drain"`
}

// The reasons why a session ended: the first cause.
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

// Completion is the completion record: the params of process.completed, the last event of a session, and
// the result of what waits for it. Limit is which one ended the session, with reason limit. Exactly one of ExitCode and Signal is set, as the kernel reported it;
// both are null, and Reason is lost, where the server could not learn it.
type Completion struct {
	SessionID         string       `json:"session_id"`
	Seq               int64        `json:"seq"`
	Status            string       `json:"status"`
	ExitCode          *int         `json:"exit_code"`
	Signal            *string      `json:"signal"`
	Reason            string       `json:"reason"`
	Limit             string       `json:"limit,omitempty"`
	Escalated         bool         `json:"escalated"`
	Survivors         []int        `json:"survivors"`
	SurvivorsVerified bool         `json:"survivors_verified"`
	PID               int          `json:"pid"`
	PGID              int          `json:"pgid"`
	ExecutionTime     float64      `json:"execution_time"`
	Usage             Usage        `json:"usage"`
	Output            OutputCounts `json:"output"`
}

// Usage is what the kernel accounted to the process and its waited-for children, or where a control group holds the
// tree, to all of that: seconds and bytes. What can't be known truly is null.
type Usage struct {
	UserTime    *float64 `json:"user_time"`
	SystemTime  *float64 `json:"system_time"`
	MaxRSSBytes *int64   `json:"max_rss_bytes"`
}

// OutputCounts count a session's output. The bytes are what the process wrote, truncated or not;
// DroppedBytes are those that truncation took; LostBytes left the log before any connection had them.
type OutputCounts struct {
	StdoutBytes    int64 `json:"stdout_bytes"`
	StderrBytes    int64 `json:"stderr_bytes"`
	PTYBytes       int64 `json:"pty_bytes"`
	TruncatedLines int64 `json:"truncated_lines"`
	DroppedBytes   int64 `json:"dropped_bytes"`
	LostBytes      int64 `json:"lost_bytes"`
}
