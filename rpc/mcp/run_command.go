package mcp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/runnel-rpc/runnel/rpc"
)

type runCommandInput struct {
	Command string      `json:"command" rpc:"required,nonempty"`
	Cwd     string      `json:"cwd"`
	Env     rpc.Env     `json:"env"`
	Timeout rpc.Seconds `json:"timeout"`
	Wait    rpc.Seconds `json:"wait"`
	Name    string      `json:"name"`
}

func (s *Server) runCommandTool() *sdk.Tool {
	name := "A name for the session, as in dev-server: a letter from a to z, and then a-z, 0-9, _, . and -. "
	switch {
	case s.options.InProcess:
		name += "It ends with this host, since no Runnel server is running."
	case s.options.Idle > 0:
		name += fmt.Sprintf("A session with a name ends %v after its last use, others after %v.", NamedLinger, s.options.Idle)
	default:
		name += "A session with a name continues when this host exits."
	}
	return &sdk.Tool{
		Name:  "run_command",
		Title: "Run a command",
		Description: `Runs a shell command, and returns its output and exit status. If it takes longer than "wait", ` +
			`the result has the output so far and a session_id: the command continues, and read_output returns the rest. ` +
			`Long output is shortened in the middle; the text says which read_output returns that part. ` +
			`Its stdin is open for write_stdin. All processes of the command end with it, also those in the background.`,
		Annotations: &sdk.ToolAnnotations{Title: "Run a command", DestructiveHint: yes(), OpenWorldHint: yes()},
		InputSchema: schema(`{
"type":"object",
"properties":{
"command":{"type":"string","description":"Command for the shell."},
"cwd":{"type":"string","description":"Working directory."},
"env":{"type":"object","additionalProperties":{"anyOf":[{"type":"string"},{"type":"null"}]},"description":"Environment variables to set, or with null to unset."},
"timeout":{"type":"number","minimum":0,"description":"Seconds after which the command is ended. Default: none, or that of the server."},
"wait":{"type":"number","minimum":0,"maximum":600,"default":30,"description":"Seconds to wait for the end of the command."},
"name":{"type":"string","description":"` + name + `"}
},
"required":["command"],
"additionalProperties":false}`),
		OutputSchema: sessionSchema(),
	}
}

// runCommand runs a command. Its session is canceled if the host cancels the call: then the host has
// no session id by which it could do so later.
func (s *Server) runCommand(ctx context.Context, c *call, in *runCommandInput) (answer, error) {
	wait, err := waitOf("wait", in.Wait, DefaultWait)
	if err != nil {
		return answer{}, err
	}
	p := s.executeParams(in, min(wait, slice))
	s.unknown.add(p.SessionID)
	defer s.unknown.remove(p.SessionID)
	r, err := s.runUntil(ctx, c, p, wait)
	if ctx.Err() != nil {
		s.cancel(p.SessionID)
		return answer{}, context.Cause(ctx)
	}
	if err != nil {
		return answer{}, err
	}
	return r.answer(), nil
}

// runUntil starts a session, and returns it when it has ended, or after wait.
func (s *Server) runUntil(ctx context.Context, c *call, p *rpc.ExecuteParams, wait time.Duration) (*sessionResult, error) {
	w, err := s.await(ctx, c, p, wait)
	if err != nil {
		return nil, err
	}
	if w != nil {
		return w.result()
	}
	return s.output(ctx, p.SessionID, 0, 0)
}

// executeParams returns the params of an execute, whose reply waits for at most a slice. A process does
// not wait until its output is read, since the model may never do that.
func (s *Server) executeParams(in *runCommandInput, wait time.Duration) *rpc.ExecuteParams {
	head, tail := s.captureBytes(MaxHeadBytes), s.captureBytes(MaxTailBytes)
	p := s.options.Execute
	p.SessionID = uuid.NewString()
	p.Command = rpc.Command{Shell: in.Command}
	p.Env = maps.Clone(p.Env)
	for name, value := range in.Env {
		if p.Env == nil {
			p.Env = rpc.Env{}
		}
		p.Env[name] = value
	}
	p.Stdin, p.MergeStderr, p.Mode, p.Encoding = rpc.StdinPipe, true, rpc.ModeRaw, rpc.EncodingAuto
	p.Timeout, p.StreamTimeout = in.Timeout, rpc.Seconds{Set: true}
	p.Wait, p.WaitTimeout = true, rpc.Seconds{Set: true, D: wait}
	p.CaptureHeadBytes, p.CaptureBytes = &head, &tail
	p.SlowClient = rpc.SlowClientDrop
	linger := s.options.Idle
	if p.Name = in.Name; p.Name != "" {
		linger = NamedLinger
	}
	if linger > 0 {
		p.OnDisconnect, p.Linger = rpc.OnDisconnectKeep, rpc.Seconds{Set: true, D: linger}
	}
	s.setDirectory(&p, in.Cwd)
	s.confine(&p)
	return &p
}

// captureBytes returns n, or less if the server cannot capture as much.
func (s *Server) captureBytes(n int64) int64 {
	if most := s.caller.Connected().Limits.ReplayBytes; most > 0 {
		return min(n, most)
	}
	return n
}

// setDirectory sets the working directory. In a sandbox it is a part of the command: the sandbox
// permits more in the directory that it is made for, which must not be one that the host chooses.
func (s *Server) setDirectory(p *rpc.ExecuteParams, dir string) {
	if dir == "" {
		return
	}
	if !filepath.IsAbs(dir) && p.Cwd != "" {
		dir = filepath.Join(string(p.Cwd), dir)
	}
	if !s.confined() {
		p.Cwd = rpc.Bytes(dir)
		return
	}
	p.Command.Shell = "cd -- '" + strings.ReplaceAll(dir, "'", `'\''`) + "' || exit\n" + p.Command.Shell
}

// await starts a session and waits for its end, for at most wait, in slices between which it reports
// progress. It returns nil if the session has not ended.
func (s *Server) await(ctx context.Context, c *call, p *rpc.ExecuteParams, wait time.Duration) (*waited, error) {
	until := time.Now().Add(wait)
	w, err := s.callWaiting(ctx, rpc.MethodExecute, p, p.WaitTimeout.D)
	watch := newWatch(s, c, p.SessionID, wait)
	for err == nil && w == nil {
		if left := time.Until(until); left <= 0 || watch.check(ctx) {
			return nil, nil
		} else {
			params := rpc.WaitParams{SessionID: p.SessionID, Timeout: rpc.Seconds{Set: true, D: min(left, slice)}, CaptureBytes: p.CaptureBytes}
			w, err = s.callWaiting(ctx, rpc.MethodWait, &params, params.Timeout.D)
		}
	}
	return w, err
}

// callWaiting calls execute or wait. It returns nil if the session has not ended.
func (s *Server) callWaiting(ctx context.Context, method string, params any, wait time.Duration) (*waited, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+callMargin)
	defer cancel()
	w := new(waited)
	err := s.caller.Call(ctx, method, params, w)
	switch {
	case errors.Is(err, &rpc.Error{Code: rpc.CodeDeadline}):
		return nil, nil
	case err != nil:
		return nil, err
	case !w.ended():
		return nil, nil
	}
	return w, nil
}
