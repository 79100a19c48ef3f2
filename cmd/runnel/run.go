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

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// The exit statuses of run that are not the command's, as env(1) and timeout(1) have them.
const (
	exitTimeout       = 124
	exitRunnelFailed  = 125
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignalBase    = 128
)

type runCmd struct {
	target
	Shell         string            `short:"c" name:"command" help:"A shell string to run, in place of a command and its args." placeholder:"STRING"`
	NoStdin       bool              `short:"n" name:"no-stdin" help:"Leave stdin alone."`
	Cwd           string            `help:"Working directory. Default: this one."`
	Env           map[string]string `help:"Environment variable to set; may be given more than once." placeholder:"K=V" mapsep:"none"`
	Timeout       *time.Duration    `help:"Longest running time; 0 for none. Default: the server's." placeholder:"DURATION"`
	StreamTimeout time.Duration     `help:"Longest silence. Default: none."`
	PTY           bool              `short:"t" name:"pty" help:"Run it on a terminal, of this one's size."`
	Detach        bool              `help:"Print the session's id and leave it running. Needs a server."`
	Label         map[string]string `help:"Label to give to the session; may be given more than once." placeholder:"K=V" mapsep:"none"`
	JSON          bool              `name:"json" help:"Print every notification as a line of JSON in place of the output."`
	Args          []string          `arg:"" optional:"" passthrough:"" help:"The command and its arguments."`
}

// Validate implements kong's check of values.
func (c *runCmd) Validate() error {
	switch {
	case (c.Shell == "") == (len(c.argv()) == 0):
		return errors.New("give a command after --, or a shell string with -c, and not both")
	case c.Timeout != nil && *c.Timeout < 0:
		return errors.New("--timeout must not be negative")
	case c.Detach && (c.JSON || c.PTY):
		return errors.New("--detach goes with neither --json nor --pty")
	case c.StreamTimeout < 0:
		return errors.New("--stream-timeout must not be negative")
	}
	return c.target.Validate()
}

// argv is the command without the -- that kong leaves in front of it.
func (c *runCmd) argv() []string {
	if len(c.Args) > 0 && c.Args[0] == "--" {
		return c.Args[1:]
	}
	return c.Args
}

// Run runs the command and ends as it does.
func (c *runCmd) Run(w *world) error {
	c.unescape()
	e := newExecution(w, !c.NoStdin && !c.Detach)
	o := client.Options{Reconnect: c.reconnect(w)}
	if c.JSON {
		o.Raw = e.line
		e.events.Output, e.events.Raw = nil, e.line
	}
	l, err := c.link(w.ctx, o)
	if err != nil {
		return &statusError{exitRunnelFailed, err}
	}
	e.conn = l.Client
	params, err := c.params(w, l)
	if err != nil {
		l.close()
		return &statusError{exitRunnelFailed, err}
	}
	if c.Detach {
		defer l.close()
		return e.detach(params)
	}
	if c.PTY {
		restore, err := e.terminal(&params)
		if err != nil {
			l.close()
			return &statusError{exitRunnelFailed, err}
		}
		defer restore()
	}
	err = e.run(params)
	if errors.Is(err, errGivenUp) {
		l.abandon(params.SessionID)
	} else {
		l.close()
	}
	return err
}

// params are those of a command that behaves as if it ran here. A server that is this process has this
// directory and this environment; another one is told of them.
func (c *runCmd) params(w *world, l *link) (p rpc.ExecuteParams, err error) {
	own := l.own != nil
	p = rpc.ExecuteParams{
		SessionID:     uuid.NewString(),
		Command:       rpc.Command{Shell: c.Shell, Argv: c.argv()},
		Env:           map[string]*string{},
		Stdin:         rpc.StdinPipe,
		Mode:          rpc.ModeRaw,
		Encoding:      rpc.EncodingAuto,
		StreamTimeout: rpc.Seconds{Set: true, D: c.StreamTimeout},
		Labels:        c.Label,
	}
	if c.Shell != "" {
		p.Command.Argv = nil
	}
	switch {
	case c.PTY:
		p.Stdin = ""
	case c.NoStdin || c.Detach:
		p.Stdin = rpc.StdinNone
	}
	c.lingering(&p)
	if c.Detach { // until somebody ends it
		p.OnDisconnect, p.Linger = rpc.OnDisconnectKeep, rpc.Seconds{Set: true}
	}
	if c.Timeout != nil {
		p.Timeout = rpc.Seconds{Set: true, D: *c.Timeout}
	}
	if c.Cwd != "" || !own {
		dir, err := filepath.Abs(c.Cwd)
		if err != nil {
			return p, err
		}
		p.Cwd = rpc.Bytes(dir)
	}
	if !own {
		passEnviron(w, p.Env)
		ownAttributes().add(&p, l.Connected())
	}
	for name, value := range c.Env {
		p.Env[name] = &value
	}
	return p, checkText(&p, can(l.Connected(), "base64"))
}

// passEnviron adds this environment to what the command is to have. The wire has no form for a name that is not UTF-8.
func passEnviron(w *world, env rpc.Env) {
	for _, e := range environ() {
		name, value, _ := strings.Cut(e, "=")
		switch {
		case name == "", name == "PWD": // that is Cwd, for the server too
		case !utf8.ValidString(name):
			fmt.Fprintf(w.stderr, "runnel: the environment variable %q is not passed on: its name is not UTF-8\n", name)
		default:
			env[name] = &value
		}
	}
}

// checkText refuses what must be text, and, where the server can't take other bytes, what is not.
func checkText(p *rpc.ExecuteParams, bytes bool) error {
	check := func(what, value string, bytes bool) error {
		if bytes || utf8.ValidString(value) {
			return nil
		}
		return fmt.Errorf("%s, %q, is not UTF-8", what, value)
	}
	err := cmp.Or(
		check("the command", p.Command.Shell, bytes),
		check("the working directory", string(p.Cwd), bytes),
	)
	for _, arg := range p.Command.Argv {
		err = cmp.Or(err, check("the argument", arg, bytes))
	}
	for name, value := range p.Env {
		err = cmp.Or(err, check("the name of an environment variable", name, false),
			check(fmt.Sprintf("the value of the environment variable %q", name), *value, bytes))
	}
	for name, value := range p.Labels {
		err = cmp.Or(err, check("the label", name+"="+value, false))
	}
	return err
}
