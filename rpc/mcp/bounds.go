package mcp

import "time"

const (
	// MaxMessageBytes is the size of the largest message from the host. A larger one ends Serve.
	MaxMessageBytes = 4 << 20
	// MaxRequestBytes is the size of the largest request over HTTP.
	MaxRequestBytes = 1 << 20
	// MaxBatch is how many messages a batch over HTTP has at most, which the revision 2025-03-26 permits.
	MaxBatch = 16
	// MaxNesting is how many arrays and objects a value in a message over HTTP may be in.
	MaxNesting = 32
	// MaxValues is how many values a message over HTTP may have, those in arrays and objects included.
	MaxValues = 10_000
	// DefaultIdle is how long a session without a name continues after its last use over HTTP.
	DefaultIdle = 30 * time.Minute
	// MaxCalls is how many requests of the host may be in progress.
	MaxCalls = 64
	// MaxWait is the longest wait of a tool, in the argument wait.
	MaxWait = 10 * time.Minute
	// DefaultWait is how long run_command waits if the argument wait is left out.
	DefaultWait = 30 * time.Second
	// NamedLinger is how long a session with a name continues after its host has gone.
	NamedLinger = 24 * time.Hour

	// MaxHeadBytes and MaxTailBytes are how much of the oldest and of the newest output a result has.
	MaxHeadBytes = 16 << 10
	MaxTailBytes = 16 << 10
	// MaxStdinBytes is the longest data of write_stdin, in bytes.
	MaxStdinBytes = 256 << 10
	// MaxListed is how many sessions list_sessions returns.
	MaxListed = 50
	// maxCommandRunes is how much of a command list_sessions returns.
	maxCommandRunes = 200

	// slice is the longest wait of one request to the server. Between two of them the state of the
	// session is examined, and progress is reported.
	slice = time.Second
	// settle is how long read_output waits for more output after the first.
	settle = 200 * time.Millisecond
	// idleChecks is after how many checks without new output, in all of which the command waits for
	// input, run_command returns before its wait is over.
	idleChecks = 2
	// quietChecks is after how many checks without new output progress is reported nevertheless.
	quietChecks = 5
	// maxLineRunes is the length of the line in a notification of progress.
	maxLineRunes = 200
	// callMargin is how long a response of the server may take, in addition to the wait of the request.
	callMargin = 30 * time.Second
	// stdinTimeout is how long write_stdin waits until the data is in the stdin queue.
	stdinTimeout = 30 * time.Second
	// cancelTimeout bounds the cancel of a session whose call the host has canceled.
	cancelTimeout = 10 * time.Second
	// writeTimeout is how long a host over HTTP may take no byte of a response.
	writeTimeout = 30 * time.Second
	// closeTimeout is how long Serve waits for calls in progress after the host has gone.
	closeTimeout = 5 * time.Second
)
