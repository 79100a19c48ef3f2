package session

import (
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/stream"
)

// Spec is what a session runs, and how. Fields without a default documented here must be set as
// needed: the server fills in its own defaults before.
type Spec struct {
	ID    string
	Owner string // the principal to which the session belongs
	Name  string // of all sessions of the owner that have not ended, only this one has it; "" is none
	// Role is that of the caller who started the session: its processes have at most this role.
	Role access.Role
	// Credential names the credential of that caller: see [access.Identity].
	Credential string
	// Params returns a string that differs for different params of the execute request, to
	// recognize one that is repeated. It may be called from any goroutine. nil is "".
	Params func() string
	Labels map[string]string
	// TraceID is that of the trace of the request, for the log; "" if it has none.
	TraceID string
	// Command and Encoding are as in the request, and not used by this package. Program is what is
	// run.
	Command  any
	Encoding string
	Program  process.Spec
	Weight   int64 // about how many bytes Command, Labels and Program.Sandbox take

	// Floor is what a policy requires of the sandbox of Program, and Home is the home directory of
	// Program.User. They are for who makes that sandbox, and not used by this package.
	Floor Floor
	Home  string
	// Directories are those below which a policy permits the directory of Program, nil for all. They are
	// for operations on files, and not used by this package.
	Directories []string

	// MakeSandbox, if not nil, makes the sandbox of Program anew. It is called without locks when a
	// session that has waited for a slot is given one, since what is required may have changed
	// meanwhile. Its error is View.Failure. It must not block.
	MakeSandbox func() (*sandbox.Config, error)

	// QueueTimeout is how long the session waits for a slot; 0 is not at all, negative is no limit.
	QueueTimeout time.Duration

	Timeout       time.Duration // longest running time, without pauses; 0 is no limit
	StreamTimeout time.Duration // longest time without input or output; 0 is no limit
	Grace         time.Duration // between the stop signal and SIGKILL
	Keep          bool          // the disconnect of the last connection does not end the session
	Linger        time.Duration // longest time without an attachment or Hold; 0 is no limit
	Output        stream.ReaderOptions
	WaitForTree   bool // the session runs until all descendants have exited
	// NoSpool is set if the output is not kept on the disk.
	NoSpool bool
	// RecordInput is set if what is written to the terminal is recorded while that echoes.
	RecordInput bool
	// Capture is how many of the newest bytes of each stream are kept regardless of the other
	// streams.
	Capture int64
	// CaptureHead is how many of the oldest bytes of each stream are kept.
	CaptureHead int64
}

// Floor is the profile that the sandbox of a command must be within.
type Floor struct {
	Profile string // "" is none
	Rule    string // that requires it
}

func (s *Spec) sameParams(other *Spec) bool { return s.params() == other.params() }

func (s *Spec) params() string {
	if s.Params == nil {
		return ""
	}
	return s.Params()
}
