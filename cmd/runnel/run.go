package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/cmd/runnel/internal/tty"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// The exit statuses of run and attach that are not the command's, as those of env(1) and timeout(1).
const (
	exitTimeout       = 124
	exitRunnelFailed  = 125
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignalBase    = 128
)

type runCmd struct {
	target
	Shell          string            `short:"c" name:"command" help:"Command string for the shell, instead of a command and its arguments." placeholder:"STRING"`
	NoStdin        bool              `short:"n" name:"no-stdin" help:"Do not forward stdin."`
	Cwd            string            `help:"Working directory. Default: the current one."`
	Env            map[string]string `help:"Environment variable to set; may be repeated." placeholder:"K=V" mapsep:"none"`
	Timeout        *time.Duration    `help:"Maximum running time; 0 for none. Default: the server's." placeholder:"DURATION"`
	QueueTimeout   queueTimeout      `name:"queue-timeout" help:"How long to wait for a slot if the server's limit is reached; infinity for no limit. Default: not at all." placeholder:"DURATION"`
	StreamTimeout  time.Duration     `help:"Maximum time without output. Default: none."`
	PTY            bool              `short:"t" name:"pty" help:"Give the command a terminal, with the size of this one."`
	RecordInput    bool              `name:"record-input" help:"With -t: also record what is typed while the terminal echoes."`
	Detach         bool              `help:"Print the session's id and exit; the command continues. Requires a running server."`
	DetachKeys     tty.DetachKeys    `name:"detach-keys" help:"Keys that leave the session on a terminal, such as ctrl-p,ctrl-q; none for no keys. Default: ~. at the beginning of a line." default:"~." placeholder:"KEYS"`
	LingerDetached *time.Duration    `name:"linger-detached" help:"With --pty: how long the session continues without a client; 0 for no limit. Default: 24h." placeholder:"DURATION"`
	Stdin          bool              `help:"With --detach: keep the command's stdin open, for \"runnel write\"."`
	traceFlags     `embed:""`
	sandboxFlags   `embed:""`
	Name           string            `help:"Name of the session, by which it can be referred to instead of its id."`
	Label          map[string]string `help:"Label of the session; may be repeated." placeholder:"K=V" mapsep:"none"`
	JSON           bool              `name:"json" help:"Print each notification as a line of JSON instead of the output."`
	Args           []string          `arg:"" optional:"" passthrough:"partial" help:"The command and its arguments."`
}

// Validate implements kong's check of values.
func (c *runCmd) Validate() error {
	switch {
	case (c.Shell == "") == (len(c.argv()) == 0):
		return errors.New("either a command after -- or a command string with -c is required")
	case c.Timeout != nil && *c.Timeout < 0:
		return errors.New("--timeout must not be negative")
	case c.RecordInput && !c.PTY:
		return errors.New("--record-input requires -t")
	case c.Detach && c.JSON:
		return errors.New("--detach excludes --json")
	case c.LingerDetached != nil && !c.PTY:
		return errors.New("--linger-detached requires --pty")
	case c.LingerDetached != nil && *c.LingerDetached < 0:
		return errors.New("--linger-detached must not be negative")
	case c.Name != "" && !rpc.ValidName(c.Name):
		return fmt.Errorf("--name must have at most %d characters of a-z, 0-9, _, . and -, begin with a letter, and not be a UUID", rpc.MaxNameBytes)
	case c.Stdin && (!c.Detach || c.NoStdin):
		return errors.New("--stdin requires --detach, and excludes --no-stdin")
	case c.StreamTimeout < 0:
		return errors.New("--stream-timeout must not be negative")
	}
	if err := c.traceFlags.check(); err != nil {
		return err
	}
	if err := c.sandboxFlags.check(); err != nil {
		return err
	}
	return c.target.Validate()
}

// argv returns the command without the -- that kong leaves before it.
func (c *runCmd) argv() []string {
	if len(c.Args) > 0 && c.Args[0] == "--" {
		return c.Args[1:]
	}
	return c.Args
}

// Run runs the command and returns its exit status.
func (c *runCmd) Run(inv *invocation) error {
	c.unescape()
	e := newExecution(inv, !c.NoStdin && !c.Detach)
	o := client.Options{Reconnect: c.reconnectExecution(e)}
	if c.JSON {
		o.Raw = e.printRaw
		e.events.Output, e.events.Raw = nil, e.printRaw
	}
	conn, err := c.connectOrServe(inv.ctx, o)
	if err != nil {
		return &statusError{exitRunnelFailed, err}
	}
	e.conn = conn.Client
	params, err := c.params(inv, conn)
	if err != nil {
		conn.close()
		return &statusError{exitRunnelFailed, err}
	}
	local := conn.server != nil
	e.inProcess, e.livesOn = local, c.livesOn() && !local
	if c.Detach {
		defer conn.close()
		if !c.NoStdin && hasInput(inv.stdin) {
			return &statusError{exitUsage, errDetachedInput}
		}
		if c.PTY {
			params.PTY = newTerminal(inv).params()
		}
		return c.explain(e.detach(params), local)
	}
	defer func() { e.reportSandbox(c.Verbose) }() // when the terminal is restored
	if c.PTY {
		if err := e.useTerminal(&params, c.DetachKeys); err != nil {
			conn.close()
			return &statusError{exitRunnelFailed, err}
		}
		defer func() { e.tty.restore(!e.ended) }()
	}
	err = e.run(params)
	switch {
	case errors.Is(err, errDetached):
		e.closeAfterLeaving()
		e.reportDetached()
		return nil
	case errors.Is(err, errInterrupted):
		conn.abandon(params.SessionID)
	default:
		conn.close()
	}
	return c.explain(err, local)
}

// livesOn reports whether the session continues when this process exits, or loses its connection: one
// with a terminal that can be found again.
func (c *runCmd) livesOn() bool {
	return c.PTY && (c.URL != "" || c.Name != "" || c.Detach)
}

// params returns the params of a command that behaves as if it ran here. A server in this process
// has the working directory, the environment and the attributes already.
func (c *runCmd) params(inv *invocation, conn *runClient) (p rpc.ExecuteParams, err error) {
	inProcess := conn.server != nil
	p = rpc.ExecuteParams{
		SessionID:     uuid.NewString(),
		Command:       rpc.Command{Shell: c.Shell, Argv: c.argv()},
		Env:           map[string]*string{},
		Stdin:         rpc.StdinPipe,
		Mode:          rpc.ModeRaw,
		Encoding:      rpc.EncodingAuto,
		QueueTimeout:  c.QueueTimeout.Seconds,
		StreamTimeout: rpc.Seconds{Set: true, D: c.StreamTimeout},
		Name:          c.Name,
		Labels:        c.Label,
		RecordInput:   c.RecordInput,
	}
	if c.Shell != "" {
		p.Command.Argv = nil
	}
	switch {
	case c.PTY:
		p.Stdin = ""
	case c.NoStdin || c.Detach && !c.Stdin:
		p.Stdin = rpc.StdinNone
	}
	c.setLinger(&p)
	if c.Timeout != nil {
		p.Timeout = rpc.Seconds{Set: true, D: *c.Timeout}
	}
	if c.Cwd != "" || !inProcess || c.sandboxFlags.given() {
		dir, err := filepath.Abs(c.Cwd)
		if err != nil {
			return p, err
		}
		p.Cwd = rpc.Bytes(dir)
	}
	if !inProcess {
		passEnviron(inv, p.Env)
		ownAttributes().addTo(&p, conn.Connected())
	}
	for name, value := range c.Env {
		p.Env[name] = &value
	}
	if p.Sandbox, err = c.sandboxFlags.param(string(p.Cwd)); err != nil {
		return p, err
	}
	c.traceFlags.addTo(&p, !inProcess && hasCapability(conn.Connected(), "traceparent"))
	return p, checkText(&p, hasCapability(conn.Connected(), "base64"))
}

// setLinger sets what happens to a command without a client. A detached one has no limit, unless it has a
// terminal.
func (c *runCmd) setLinger(p *rpc.ExecuteParams) {
	c.target.setLinger(p)
	switch {
	case c.PTY && c.LingerDetached != nil:
		p.Linger.D = *c.LingerDetached
	case c.PTY:
		p.Linger.D = terminalLinger
	case c.Detach:
		p.Linger.D = 0
	}
	if c.Detach || c.livesOn() {
		p.OnDisconnect = rpc.OnDisconnectKeep
	}
}

// passEnviron adds the environment of this process to that of the command. The protocol cannot
// represent a name that is not UTF-8.
func passEnviron(inv *invocation, env rpc.Env) {
	for _, e := range environ() {
		name, value, _ := strings.Cut(e, "=")
		switch {
		case name == "", name == "PWD": // the server sets PWD to cwd
		case !utf8.ValidString(name):
			fmt.Fprintf(inv.stderr, "runnel: environment variable %q is omitted: its name is not UTF-8\n", name)
		default:
			env[name] = &value
		}
	}
}

// checkText returns an error if a param that must be UTF-8 is not. With bytes, the server accepts
// other bytes in the command, the working directory, and the values of environment variables.
func checkText(p *rpc.ExecuteParams, bytes bool) error {
	check := func(what, value string, bytes bool) error {
		if bytes || utf8.ValidString(value) {
			return nil
		}
		return fmt.Errorf("%s is not UTF-8: %q", what, value)
	}
	err := cmp.Or(
		check("command", p.Command.Shell, bytes),
		check("working directory", string(p.Cwd), bytes),
	)
	for _, arg := range p.Command.Argv {
		err = cmp.Or(err, check("argument", arg, bytes))
	}
	for name, value := range p.Env {
		err = cmp.Or(err, check("name of an environment variable", name, false),
			check(fmt.Sprintf("value of the environment variable %q", name), *value, bytes))
	}
	if p.Sandbox != nil {
		for _, rule := range p.Sandbox.Files {
			err = cmp.Or(err, check("path of the sandbox", string(rule.Path), bytes))
		}
	}
	for name, value := range p.Labels {
		err = cmp.Or(err, check("label", name+"="+value, false))
	}
	return err
}
