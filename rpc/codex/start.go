package codex

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
)

// maxProcessIDBytes is the longest id of a process, which the client chooses.
const maxProcessIDBytes = 256

// The size of a terminal, which a client cannot choose.
const (
	terminalRows = 24
	terminalCols = 80
)

type startParams struct {
	ProcessID             string            `json:"processId"`
	Argv                  []string          `json:"argv"`
	Cwd                   string            `json:"cwd"`
	EnvPolicy             *envPolicy        `json:"envPolicy"`
	Env                   map[string]string `json:"env"`
	TTY                   bool              `json:"tty"`
	PipeStdin             bool              `json:"pipeStdin"`
	Arg0                  *string           `json:"arg0"`
	Sandbox               *sandboxParams    `json:"sandbox"`
	EnforceManagedNetwork bool              `json:"enforceManagedNetwork"`
	ManagedNetwork        json.RawMessage   `json:"managedNetwork"`
	NetworkProxy          *networkProxy     `json:"networkProxy"`
	ShellSnapshot         json.RawMessage   `json:"shellSnapshot"`
}

type startResult struct {
	ProcessID string `json:"processId"`
	// SandboxType is what the client calls the sandbox of Linux, whatever enforces it, or none.
	SandboxType string `json:"sandboxType"`
}

// The values of startResult.SandboxType.
const (
	sandboxNone  = "none"
	sandboxLinux = "linuxSeccomp"
)

// startProcess carries out a process/start. The process is known to the requests that follow, and its
// events follow the reply.
func startProcess(c *conn, q *startParams) answer {
	if err := q.check(); err != nil {
		return result(nil, err)
	}
	p, err := c.session.add(q.ProcessID, q.TTY || q.PipeStdin)
	if err != nil {
		return result(nil, err)
	}
	return later(func() answer {
		params, err := execute(q, c.caller.Defaults().Environ)
		if err != nil {
			p.client.remove(p)
			return result(nil, err)
		}
		return c.run(p, params)
	})
}

// run starts a process that was added to the client session.
func (c *conn) run(p *process, params *rpc.ExecuteParams) answer {
	of := p.client
	s, a, err := c.caller.Start(of.ctx, params, p.attachOptions())
	if s == nil {
		of.remove(p)
		return result(nil, err)
	}
	if p.begin(s, a) || err != nil {
		// The process was terminated, or the client session has ended.
		if refused := c.caller.Cancel(s); refused != nil {
			a.Disconnect() // ends it, as the reply to the terminate has said
			of.remove(p)
			return result(nil, refused)
		}
	}
	started := startResult{p.id, sandboxNone}
	if s.View().Sandbox != nil {
		started.SandboxType = sandboxLinux
	}
	return answer{result: started, err: err, then: func() {
		if !of.start(p) {
			a.Disconnect()
		}
	}}
}

// execute returns the execute of a process/start that was checked. Background processes of the command run
// on when it has exited. The output is not cut into lines, and silence does not end it.
func execute(q *startParams, environ []string) (*rpc.ExecuteParams, error) {
	cwd, err := filePath("cwd", q.Cwd)
	if err != nil {
		return nil, err
	}
	env, err := environment(environ, q.EnvPolicy, q.Env)
	if err != nil {
		return nil, err
	}
	box, err := mapSandbox(q.Sandbox, cwd, env["TMPDIR"])
	if err != nil {
		return nil, err
	}
	if box, err = q.managed(box); err != nil {
		return nil, err
	}
	forever := rpc.Seconds{Set: true, Null: true}
	p := &rpc.ExecuteParams{
		Command:       rpc.Command{Argv: q.Argv},
		Cwd:           rpc.Bytes(cwd),
		Env:           changes(environ, env),
		Stdin:         rpc.StdinNone,
		Mode:          rpc.ModeRaw,
		Encoding:      rpc.EncodingBase64,
		StreamTimeout: forever,
		Linger:        forever,
		OnDisconnect:  rpc.OnDisconnectKill,
		OnLeaderExit:  rpc.OnLeaderExitWait,
		Sandbox:       box,
	}
	switch {
	case q.TTY:
		p.PTY, p.Stdin = &rpc.PTY{Rows: terminalRows, Cols: terminalCols, Term: env["TERM"]}, rpc.StdinPipe
	case q.PipeStdin:
		p.Stdin = rpc.StdinPipe
	}
	return p, nil
}

// check returns the error of params that are not supported, or that contradict each other.
func (q *startParams) check() error {
	switch {
	case q.ProcessID == "" || len(q.ProcessID) > maxProcessIDBytes:
		return invalidParams("processId must have 1 to %d bytes", maxProcessIDBytes)
	case len(q.Argv) == 0:
		return invalidParams("argv must not be empty")
	case strings.Contains(strings.Join(q.Argv, ""), "\x00"):
		return invalidParams("argv must not contain NUL")
	case q.Arg0 != nil && *q.Arg0 != q.Argv[0]:
		return invalidParams("arg0 must be argv[0]: another name is not supported")
	case given(q.ShellSnapshot):
		return invalidParams("shellSnapshot is not supported")
	}
	_, err := filePath("cwd", q.Cwd)
	return err
}

// given reports whether a param is there and not null.
func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// retire forgets a process some time after it was closed or read last, or when its background processes have
// ended, whichever is later: a client with a slow connection may read its output for longer than that.
func (s *clientSession) retire(p *process, after time.Duration) {
	time.AfterFunc(after, func() {
		if isDone(s.ctx.Done()) {
			return
		}
		left := s.handler.o.ClosedRetention
		if isDone(p.session.Done()) {
			if left -= p.unread(); left <= 0 {
				s.remove(p)
				return
			}
		}
		s.retire(p, left)
	})
}
