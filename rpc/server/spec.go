package server

import (
	"crypto/sha256"
	"math"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/stream"
)

// defaultCapture is the default of capture_bytes.
const defaultCapture = 64 << 10

// spec checks the params of an execute and returns the session's spec, with all defaults filled in.
func (d *Defaults) spec(owner string, p *rpc.ExecuteParams) (session.Spec, *rpc.Error) {
	id, err := sessionID(p.SessionID)
	if err != nil {
		return session.Spec{}, err
	}
	p.SessionID = id // a retry with another spelling has the same fingerprint
	if err := checkName(p.Name); err != nil {
		return session.Spec{}, err
	}
	trace, err := traceparent(p)
	if err != nil {
		return session.Spec{}, err
	}
	program, err := d.program(p)
	if err != nil {
		return session.Spec{}, err
	}
	if err := d.checkCapture(p); err != nil {
		return session.Spec{}, err
	}
	keep, silence := p.OnDisconnect == rpc.OnDisconnectKeep, d.StreamTimeout
	if keep || p.PTY != nil { // silence is normal at a terminal and while no client is attached
		silence = 0
	}
	var capture int64
	if p.Wait {
		capture = captureBytes(p.CaptureBytes, defaultCapture)
	}
	return session.Spec{
		ID:            id,
		Owner:         owner,
		Name:          p.Name,
		Params:        sync.OnceValue(func() string { return fingerprint(p) }),
		Labels:        p.Labels,
		TraceID:       trace.TraceID,
		Command:       p.Command,
		Encoding:      p.Encoding,
		Program:       program,
		QueueTimeout:  queueTimeout(p.QueueTimeout),
		Timeout:       orDefault(p.Timeout, d.Timeout),
		StreamTimeout: orDefault(p.StreamTimeout, silence),
		Grace:         orDefault(p.Grace, d.Grace),
		Keep:          keep,
		Linger:        orDefault(p.Linger, d.Linger),
		WaitForTree:   p.OnLeaderExit == rpc.OnLeaderExitWait,
		Output:        output(p),
		RecordInput:   p.RecordInput,
		NoSpool:       p.Spool != nil && !*p.Spool,
		Capture:       capture,
		CaptureHead:   captureBytes(p.CaptureHeadBytes, 0),
		Weight:        weight(p),
	}, nil
}

// Spec returns the spec that an execute of owner with these params gets, before a policy restricts
// it. It is for programs that explain what a server does.
func (d Defaults) Spec(owner string, p *rpc.ExecuteParams) (session.Spec, error) {
	d.complete()
	d.replayBytes = math.MaxInt64
	spec, err := d.spec(owner, p)
	if err != nil {
		return session.Spec{}, err
	}
	return spec, nil
}

// program checks the params for the process and returns its spec.
func (d *Defaults) program(p *rpc.ExecuteParams) (spec process.Spec, err *rpc.Error) {
	if spec.Terminal, err = terminal(p); err != nil {
		return spec, err
	}
	if err = checkArguments(p); err != nil {
		return spec, err
	}
	if spec.Env, err = d.environ(changes(p), string(p.Cwd)); err != nil {
		return spec, err
	}
	if spec.StopSignal, err = signalParam("stop_signal", p.StopSignal); err != nil {
		return spec, err
	}
	if spec.Limits, err = d.limits(p.Limits); err != nil {
		return spec, err
	}
	if spec.Argv = p.Command.Argv; spec.Argv == nil {
		spec.Argv = shellArgv(d.Shell, p.Command.Shell)
	}
	spec.Dir = string(p.Cwd)
	spec.Stdin = p.Stdin == rpc.StdinPipe
	spec.MergeStderr = p.MergeStderr
	spec.Attributes = attributes(p)
	return spec, nil
}

// mayCapture checks a param that is the number of bytes to capture.
func (d *Defaults) mayCapture(field string, n *int64) *rpc.Error {
	if captureBytes(n, 0) > d.replayBytes {
		return rpc.InvalidParams(field, "%s must be at most %d", field, d.replayBytes)
	}
	return nil
}

// checkCapture checks the params for the output in the result of an execute.
func (d *Defaults) checkCapture(p *rpc.ExecuteParams) *rpc.Error {
	if err := d.mayCapture("capture_bytes", p.CaptureBytes); err != nil {
		return err
	}
	if err := d.mayCapture("capture_head_bytes", p.CaptureHeadBytes); err != nil {
		return err
	}
	if p.WaitTimeout.Set && !p.Wait {
		return rpc.InvalidParams("wait_timeout", "wait_timeout is for an execute with wait")
	}
	return nil
}

// fingerprint returns a short string that differs for different params. It is kept as long as the
// session, and p until it is made. The traceparent says where a request comes from, and may be
// another one when it is repeated.
func fingerprint(p *rpc.ExecuteParams) string {
	if p.Traceparent != "" {
		untraced := *p
		untraced.Traceparent = ""
		p = &untraced
	}
	sum := sha256.Sum256(mustMarshal(p))
	return string(sum[:])
}

// weight returns about how many bytes of the params are kept as long as the session: the command,
// the name of its terminal, the traceparent, the name and the labels. It includes an overhead per string and
// per member of a map.
func weight(p *rpc.ExecuteParams) (n int64) {
	const perString, perLabel = 16, 48
	n = int64(len(p.Command.Shell) + len(p.Traceparent) + len(p.Name))
	for _, arg := range p.Command.Argv {
		n += int64(len(arg)) + perString
	}
	if p.PTY != nil {
		n += int64(len(p.PTY.Term))
	}
	for name, value := range p.Labels {
		n += int64(len(name)+len(value)) + perLabel
	}
	return n
}

func output(p *rpc.ExecuteParams) stream.ReaderOptions {
	o := stream.ReaderOptions{
		Raw:   p.Mode == rpc.ModeRaw || p.Mode == "" && p.PTY != nil,
		Split: p.Overflow == rpc.OverflowSplit,
		Bytes: p.Encoding == rpc.EncodingBase64,
	}
	if p.MaxLineBytes != nil {
		o.MaxLine = *p.MaxLineBytes
	}
	return o
}

// terminal returns the terminal of an execute, or nil. Its TERM is that of term or else of env, and
// never the server's, which belongs to another terminal.
func terminal(p *rpc.ExecuteParams) (*process.Terminal, *rpc.Error) {
	if p.PTY == nil {
		if p.RecordInput {
			return nil, rpc.InvalidParams("record_input", "record_input requires pty")
		}
		return nil, nil
	}
	t := &process.Terminal{Rows: p.PTY.Rows, Cols: p.PTY.Cols, Term: p.PTY.Term}
	if own := p.Env["TERM"]; t.Term == "" && own != nil {
		t.Term = *own
	}
	if p.Stdin == rpc.StdinNone {
		return nil, rpc.InvalidParams("stdin", `stdin must not be "none" with pty`)
	}
	return t, checkVariable("pty.term", "TERM", p.PTY.Term)
}

// limits returns the limits of the client and, for those that it leaves out, of the server.
func (d *Defaults) limits(p *rpc.Limits) (process.Limits, *rpc.Error) {
	if p == nil {
		if len(d.Limits)+len(d.MaxLimits) == 0 {
			return nil, nil
		}
		p = &rpc.Limits{}
	}
	asked := map[process.Limit]*int64{
		process.CPUSeconds: wholeSeconds(p.CPUSeconds), process.MemoryBytes: p.MemoryBytes, process.Processes: p.Processes,
		process.OpenFiles: p.OpenFiles, process.FileBytes: p.FileBytes,
	}
	var all process.Limits
	for _, name := range process.AllLimits {
		value, set := d.Limits[name]
		if v := asked[name]; v != nil {
			value, set = *v, true
		}
		if ceiling, ok := d.MaxLimits[name]; ok {
			if set && value > ceiling {
				return nil, rpc.OverCeiling(string(name), ceiling)
			}
			if !set {
				value, set = ceiling, true
			}
		}
		if set {
			if all == nil {
				all = make(process.Limits)
			}
			all[name] = value
		}
	}
	return all, nil
}

// wholeSeconds rounds up to the whole seconds of setrlimit(2), 1 to 2^32.
func wholeSeconds(s *float64) *int64 {
	if s == nil {
		return nil
	}
	n := int64(math.Ceil(min(max(*s, 1), 1<<32)))
	return &n
}

// queueTimeout returns the QueueTimeout of a session.Spec.
func queueTimeout(s rpc.Seconds) time.Duration {
	if s.Null {
		return -1
	}
	return s.D
}

func orDefault(s rpc.Seconds, d time.Duration) time.Duration {
	if s.Set {
		return s.D
	}
	return d
}

// sessionID returns the canonical spelling of a client's id, or a new id for "".
func sessionID(id string) (string, *rpc.Error) {
	if id == "" {
		return uuid.NewString(), nil
	}
	canonical, ok := canonicalID(id)
	if !ok {
		return "", rpc.InvalidParams("session_id", "session_id must be a UUID")
	}
	return canonical, nil
}

// checkName checks the name of a session, which may be left out.
func checkName(name string) *rpc.Error {
	if name == "" || rpc.ValidName(name) {
		return nil
	}
	return rpc.InvalidParams("name", "name must have at most %d characters of a-z, 0-9, _, . and -, begin with a letter, and not be a UUID",
		rpc.MaxNameBytes)
}
