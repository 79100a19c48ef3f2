package server

import (
	"crypto/sha256"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/stream"
)

// defaultCapture is the default of capture_bytes.
const defaultCapture = 64 << 10

// spec resolves the params of an execute: every default is filled in, and what is not known is refused.
func (d *Defaults) spec(owner string, p *rpc.ExecuteParams) (session.Spec, *rpc.Error) {
	id, err := sessionID(p.SessionID)
	if err != nil {
		return session.Spec{}, err
	}
	p.SessionID = id // or a retry that spells it otherwise would seem to be another execute
	term, err := terminal(p)
	if err != nil {
		return session.Spec{}, err
	}
	if err := checkArguments(p); err != nil {
		return session.Spec{}, err
	}
	env, err := d.environ(p.Env, string(p.Cwd))
	if err != nil {
		return session.Spec{}, err
	}
	if err := d.checkCapture(p); err != nil {
		return session.Spec{}, err
	}
	stop, err := signalParam("stop_signal", p.StopSignal)
	if err != nil {
		return session.Spec{}, err
	}
	limits, err := d.limits(p.Limits)
	if err != nil {
		return session.Spec{}, err
	}
	keep, silence := p.OnDisconnect == rpc.OnDisconnectKeep, d.StreamTimeout
	if keep || term != nil { // who is away, or at a terminal, may think
		silence = 0
	}
	var capture int64
	if p.Wait {
		capture = captureBytes(p.CaptureBytes, defaultCapture)
	}
	argv := p.Command.Argv
	if argv == nil {
		argv = shellArgv(d.Shell, p.Command.Shell)
	}
	return session.Spec{
		ID:       id,
		Owner:    owner,
		Params:   fingerprint(p),
		Labels:   p.Labels,
		Command:  p.Command,
		Encoding: p.Encoding,
		Program: process.Spec{
			Argv: argv, Dir: string(p.Cwd), Env: env, Stdin: p.Stdin == rpc.StdinPipe, MergeStderr: p.MergeStderr, StopSignal: stop,
			Terminal: term, Limits: limits, Attributes: attributes(p),
		},
		Timeout:       orDefault(p.Timeout, d.Timeout),
		StreamTimeout: orDefault(p.StreamTimeout, silence),
		Grace:         orDefault(p.Grace, d.Grace),
		Keep:          keep,
		Linger:        orDefault(p.Linger, d.Linger),
		WaitForTree:   p.OnLeaderExit == rpc.OnLeaderExitWait,
		Output:        output(p),
		Capture:       capture,
		CaptureHead:   captureBytes(p.CaptureHeadBytes, 0),
		Weight:        weight(p),
	}, nil
}

// checkCapture checks what an execute answers with.
func (d *Defaults) checkCapture(p *rpc.ExecuteParams) *rpc.Error {
	if captureBytes(p.CaptureBytes, 0) > d.replayBytes {
		return rpc.InvalidParams("capture_bytes", "capture_bytes must be at most %d", d.replayBytes)
	}
	if captureBytes(p.CaptureHeadBytes, 0) > d.replayBytes {
		return rpc.InvalidParams("capture_head_bytes", "capture_head_bytes must be at most %d", d.replayBytes)
	}
	if p.WaitTimeout.Set && !p.Wait {
		return rpc.InvalidParams("wait_timeout", "wait_timeout is for an execute with wait")
	}
	return nil
}

// fingerprint tells params that differ from each other. It is kept as long as the session, so it is short.
func fingerprint(p *rpc.ExecuteParams) string {
	sum := sha256.Sum256(mustMarshal(p))
	return string(sum[:])
}

// weight is about how many bytes of what the client said are kept as long as the session: the command, the name of
// its terminal and the labels. Strings and members of a map take some bytes besides their text.
func weight(p *rpc.ExecuteParams) (n int64) {
	const perString, perLabel = 16, 48
	n = int64(len(p.Command.Shell))
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

// terminal is the one that an execute asks for, or nil. Its TERM is the client's, by term or else by env, and
// never the server's, which tells of another terminal.
func terminal(p *rpc.ExecuteParams) (*process.Terminal, *rpc.Error) {
	if p.PTY == nil {
		return nil, nil
	}
	t := &process.Terminal{Rows: p.PTY.Rows, Cols: p.PTY.Cols, Term: p.PTY.Term}
	if own := p.Env["TERM"]; t.Term == "" && own != nil {
		t.Term = *own
	}
	if p.Stdin == rpc.StdinNone {
		return nil, rpc.InvalidParams("stdin", `stdin "none" can't be had with pty: a terminal is read from too`)
	}
	return t, checkVariable("pty.term", "TERM", p.PTY.Term)
}

// limits are those that were asked for, and the server's.
func (d *Defaults) limits(p *rpc.Limits) (process.Limits, *rpc.Error) {
	if p == nil {
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

// wholeSeconds rounds up, since the kernel counts whole ones; more than a life's worth is a life's worth.
func wholeSeconds(s *float64) *int64 {
	if s == nil {
		return nil
	}
	n := int64(math.Ceil(min(max(*s, 1), 1<<32)))
	return &n
}

func orDefault(s rpc.Seconds, d time.Duration) time.Duration {
	if s.Set {
		return s.D
	}
	return d
}

// sessionID checks a client's own id and gives it its one spelling, or makes one.
func sessionID(id string) (string, *rpc.Error) {
	if id == "" {
		return uuid.NewString(), nil
	}
	u, err := uuid.Parse(id)
	if err != nil || len(id) != 36 {
		return "", rpc.InvalidParams("session_id", "session_id must be a UUID")
	}
	return u.String(), nil
}
