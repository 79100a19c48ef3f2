package rpc

import "encoding/json"

// The notifications that the server sends.
const (
	NotifyConnected = "connected"
	NotifyQueued    = "process.queued"
	NotifyFailed    = "process.failed"
	NotifyStarted   = "process.started"
	NotifyOutput    = "process.output"
	NotifyGap       = "process.gap"
	NotifyScreen    = "process.screen"
	NotifyPaused    = "process.paused"
	NotifyResumed   = "process.resumed"
	NotifyCanceled  = "process.canceled"
	NotifyExited    = "process.exited"
	NotifySpool     = "process.spool"
	NotifyCompleted = "process.completed"
	NotifyShutdown  = "server.shutdown"
)

// Version is the version of the protocol.
const Version = 1

// MaxFrameBytes is the size of the largest message that the server sends.
const MaxFrameBytes = 1 << 20

// MaxOutputBytes is the most output in one notification, in bytes before escaping.
const MaxOutputBytes = 64 << 10

// Connected are the params of connected, the first message on every connection.
type Connected struct {
	// The id of this connection.
	ConnectionID string `json:"connection_id"`
	// Equal to `connection_id`, for clients of `cc_executor`.
	SessionID string `json:"session_id"`
	// The name of the server.
	Server string `json:"server" enum:"runnel"`
	// The version of the server.
	Version string `json:"version"`
	// The version of the protocol.
	Protocol int `json:"protocol"`
	// The principal of the caller, to which the sessions belong that this connection starts.
	Principal string `json:"principal"`
	// The role of the caller.
	Role string `json:"role" enum:"run,observe,admin"`
	// When the credential of the caller expires (RFC 3339, UTC). It is left out if it does not
	// expire.
	Expires string `json:"expires,omitempty"`
	// The methods that this server supports.
	Capabilities []string `json:"capabilities"`
	// The limits and defaults of the server.
	Limits Bounds `json:"limits"`
}

// Bounds are the limits and defaults of the server. A default of 0 seconds is no limit.
type Bounds struct {
	// The most sessions that may run at the same time.
	MaxSessions int `json:"max_sessions"`
	// The most connections that may be open at the same time.
	MaxConnections int `json:"max_connections"`
	// The size of the largest message from a client, in bytes.
	MaxMessageBytes int64 `json:"max_message_bytes"`
	// The most requests in flight on a connection.
	MaxInFlight int `json:"max_in_flight"`
	// The most bytes of params of the requests in flight on a connection.
	MaxInFlightBytes int64 `json:"max_in_flight_bytes"`
	// The most items of a batch.
	MaxBatch int `json:"max_batch"`
	// The most sessions that a connection may be attached to.
	MaxAttached int `json:"max_attached"`
	// The most sessions that may wait for a slot at the same time (`queue_timeout`).
	MaxQueued int `json:"max_queued"`
	// The most ended sessions of which the record and the log are kept.
	MaxRetained int `json:"max_retained"`
	// The replay window: how many of the newest bytes of a session's log are kept.
	ReplayBytes int64 `json:"replay_bytes"`
	// The most bytes of all logs together. If they are exceeded, the logs of ended sessions are
	// removed first.
	ReplayTotal int64 `json:"replay_total"`
	// The time in seconds for which an ended session is kept.
	Retain float64 `json:"retain"`
	// The most bytes of output that are kept on the disk of a session; 0 without a spool.
	SpoolBytes int64 `json:"spool_bytes"`
	// The most bytes that are kept on the disk of all sessions together.
	SpoolTotal int64 `json:"spool_total"`
	// The time in seconds for which an ended session is kept on the disk, beyond `retain` and
	// `max_retained`.
	SpoolRetain float64 `json:"spool_retain"`
	// The most bytes that wait for a session's stdin.
	StdinQueueBytes int64 `json:"stdin_queue_bytes"`
	// The most output in one notification, in bytes before escaping.
	MaxOutputBytes int `json:"max_output_bytes"`
	// The time in seconds between pings. A client from which nothing arrived in three of them, and
	// which in that time read no output that waits for it, is disconnected.
	PingInterval float64 `json:"ping_interval"`
	// The time in seconds after which a client that accepts no byte is disconnected.
	WriteTimeout float64 `json:"write_timeout"`
	// The default of execute, in seconds.
	DefaultStreamTimeout float64 `json:"stream_timeout"`
	// The default of execute, in seconds.
	DefaultTimeout float64 `json:"timeout"`
	// The default of execute, in seconds.
	DefaultGrace float64 `json:"grace"`
	// The default of execute, in seconds.
	DefaultLinger float64 `json:"linger"`
	// The default of execute.
	DefaultMaxLineBytes int64 `json:"max_line_bytes"`
	// The lowest `nice` that execute accepts.
	MinNice int `json:"min_nice"`
}

// Queued are the params of process.queued.
type Queued struct {
	// The session.
	SessionID string `json:"session_id"`
	// 0: the position in the log, which the event does not advance.
	Seq int64 `json:"seq"`
	// The position among the queued sessions of the same principal when the session was queued, from
	// 1. It tells nothing about the sessions of others.
	Position int `json:"position"`
}

// Failed are the params of process.failed.
type Failed struct {
	// The session.
	SessionID string `json:"session_id"`
	// 0: the position in the log, which the event does not advance.
	Seq int64 `json:"seq"`
	// Why the session was not started.
	Error StartError `json:"error"`
}

// StartError is the error that the reply to an execute would have.
type StartError struct {
	// The code of the error.
	Code int `json:"code"`
	// The message of the error.
	Message string `json:"message"`
	// The data of the error.
	Data json.RawMessage `json:"data,omitempty" type:"object"`
}

// StateEvent are the params of process.started, process.paused, process.resumed and
// process.canceled.
type StateEvent struct {
	// The session.
	SessionID string `json:"session_id"`
	// The position in the log at the end of this event: the number of bytes of output, plus 1 for
	// each state event.
	Seq int64 `json:"seq"`
	// The last word of the method.
	Status string `json:"status" enum:"started,paused,resumed,canceled"`
	// The process id of the command itself.
	PID int `json:"pid"`
	// The process group id of the command.
	PGID int `json:"pgid"`
}

// Exited are the params of process.exited.
type Exited struct {
	// The session.
	SessionID string `json:"session_id"`
	// The position in the log at which the event lies. The event does not advance the position.
	Seq int64 `json:"seq"`
	// The exit code, or null if a signal ended the command or the server could not determine it.
	ExitCode *int `json:"exit_code"`
	// The name of the signal that ended the command, or null.
	Signal *string `json:"signal"`
}

// The streams that output comes from.
const (
	StreamStdout = "stdout"
	StreamStderr = "stderr"
	StreamPTY    = "pty"
)

// Output are the params of process.output.
type Output struct {
	// The session.
	SessionID string `json:"session_id"`
	// The position in the log at the end of this event: the number of bytes of output, plus 1 for
	// each state event.
	Seq int64 `json:"seq"`
	// The stream that the output comes from.
	Type string `json:"type" enum:"stdout,stderr,pty"`
	// The output, encoded as `encoding`, at most 64 KiB before escaping. The data of one type,
	// joined, is the stream, byte for byte.
	Data string `json:"data"`
	// The encoding of `data`. The default is utf8.
	Encoding string `json:"encoding,omitempty" enum:"utf8,base64"`
	// The line was longer than `max_line_bytes`: `data` ends with `...`, and the rest was dropped.
	Truncated bool `json:"truncated,omitempty"`
	// `data` does not end with a newline: the line may continue in the next notification.
	Partial bool `json:"partial,omitempty"`
	// The number of bytes that were not UTF-8 and were replaced by U+FFFD.
	Replaced int `json:"replaced,omitempty"`
	// The number of bytes that were dropped from the line that ends here.
	DroppedBytes int64 `json:"dropped_bytes,omitempty"`
}

// The reasons of a gap.
const (
	GapSlowClient   = "slow_client"
	GapReplayWindow = "replay_window"
	GapSpool        = "spool"
)

// Gap are the params of process.gap.
type Gap struct {
	// The session.
	SessionID string `json:"session_id"`
	// The position in the log at which the gap ends.
	Seq int64 `json:"seq"`
	// The position in the log at which the gap begins.
	FromSeq int64 `json:"from_seq"`
	// The number of bytes of output in the gap.
	LostBytes int64 `json:"lost_bytes"`
	// `slow_client`: this connection fell too far behind; `replay_window`: the log no longer has
	// this part; `spool`: it was removed from the disk, could not be written to it, or cannot be read.
	Reason string `json:"reason" enum:"slow_client,replay_window,spool"`
}

// Screen are the params of process.screen: what the terminal of a session shows.
type Screen struct {
	// The session.
	SessionID string `json:"session_id"`
	// The position in the log up to which the output is painted. The event does not advance the position.
	Seq int64 `json:"seq"`
	// The height of the terminal in characters.
	Rows int `json:"rows"`
	// The width of the terminal in characters.
	Cols int `json:"cols"`
	// What makes another terminal of that size show the same: text with the control sequences of xterm.
	Data string `json:"data"`
}

// Spool are the params of process.spool: the output of a session is no longer kept on the disk.
type Spool struct {
	// The session.
	SessionID string `json:"session_id"`
	// The position in the log at which the event lies. The event does not advance the position.
	Seq int64 `json:"seq"`
	// What was kept before stays readable.
	State string `json:"state" enum:"stopped"`
	// `full`: no space is left; `read_only`: the file system is read-only; `stalled`: the disk does not
	// respond; `failed`: another error.
	Reason string `json:"reason" enum:"full,read_only,stalled,failed"`
}

// Shutdown are the params of server.shutdown.
type Shutdown struct {
	// The time in seconds after which the server ends the sessions that still run.
	Drain float64 `json:"drain"`
	// The server will be started again: it closes connections with 1012, and clients may connect
	// again. No session survives this.
	Restart bool `json:"restart,omitempty"`
}
