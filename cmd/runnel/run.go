package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
	"github.com/runnel-rpc/runnel/rpc/server"
)

// The exit statuses of run that are not the command's, as env(1) and timeout(1) have them.
const (
	exitTimeout       = 124
	exitRunnelFailed  = 125
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignalBase    = 128
)

// interruptsToCancel is how many Ctrl-C cancel what does not end on SIGINT.
const interruptsToCancel = 3

type runCmd struct {
	target
	Shell         string            `short:"c" name:"command" help:"A shell string to run, in place of a command and its args." placeholder:"STRING"`
	NoStdin       bool              `short:"n" name:"no-stdin" help:"Leave stdin alone."`
	Cwd           string            `help:"Working directory. Default: this one."`
	Env           map[string]string `help:"Environment variable to set; may be given more than once." placeholder:"K=V" mapsep:"none"`
	Timeout       time.Duration     `help:"Longest running time." env:"-"`
	StreamTimeout time.Duration     `help:"Longest silence." env:"-"`
	Label         map[string]string `help:"Label to give to the session; may be given more than once." placeholder:"K=V" mapsep:"none"`
	JSON          bool              `name:"json" help:"Print every notification as a line of JSON in place of the output."`
	Args          []string          `arg:"" optional:"" passthrough:"" help:"The command and its arguments."`
}

// Run runs the command and ends as it does.
func (c *runCmd) Run(w *world) error {
	params, err := c.params()
	if err != nil {
		return &statusError{exitUsage, err}
	}
	conn, cleanUp, err := c.dial(w)
	if err != nil {
		return &statusError{exitRunnelFailed, err}
	}
	defer cleanUp()
	return (&execution{w: w, c: conn, json: c.JSON, stdin: !c.NoStdin}).run(params)
}

// params are those of a command that behaves as if it ran here.
func (c *runCmd) params() (rpc.ExecuteParams, error) {
	args := c.Args
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if (c.Shell == "") == (len(args) == 0) {
		return rpc.ExecuteParams{}, errors.New("give a command after --, or a shell string with -c, and not both")
	}
	p := rpc.ExecuteParams{
		Command:       rpc.Command{Shell: c.Shell, Argv: args},
		Cwd:           c.Cwd,
		Env:           map[string]*string{},
		Stdin:         rpc.StdinPipe,
		Mode:          rpc.ModeRaw,
		Encoding:      rpc.EncodingAuto,
		Timeout:       rpc.Seconds{Set: true, D: c.Timeout},
		StreamTimeout: rpc.Seconds{Set: true, D: c.StreamTimeout},
		Labels:        c.Label,
	}
	if c.NoStdin {
		p.Stdin = rpc.StdinNone
	}
	if p.Cwd == "" {
		p.Cwd, _ = os.Getwd()
	}
	for _, e := range environ() {
		name, value, _ := strings.Cut(e, "=")
		if name != "" {
			p.Env[name] = &value
		}
	}
	for name, value := range c.Env {
		p.Env[name] = &value
	}
	return p, nil
}

// dial connects to the server, or to one that this process serves for itself where there is none.
func (c *runCmd) dial(w *world) (*client.Client, func(), error) {
	ctx, cancel := context.WithTimeout(w.ctx, dialTimeout)
	defer cancel()
	conn, err := c.connect(ctx)
	if err == nil {
		return conn, func() { _ = conn.Close() }, nil
	}
	if !errors.Is(err, errNoServer) {
		return nil, nil, err
	}
	return serveSelf(ctx)
}

const dialTimeout = 10 * time.Second

// serveSelf serves in this process, on a listener that only this process can reach.
func serveSelf(ctx context.Context) (*client.Client, func(), error) {
	b, err := defaultBounds()
	if err != nil {
		return nil, nil, err
	}
	s := newService(b, server.Auth{}, zerolog.Nop())
	l := newPairListener()
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(l) }()
	stop := func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		s.registry.Shutdown(now)
		s.server.Shutdown()
		<-served
	}
	conn, err := client.Dial(ctx, socketURL, client.Options{Dial: l.dialContext})
	if err != nil {
		stop()
		return nil, nil, err
	}
	return conn, func() { _ = conn.Close(); stop() }, nil
}

// execution is one command that runs as if it ran here.
type execution struct {
	w     *world
	c     *client.Client
	id    string
	s     *client.Session
	json  bool
	stdin bool

	mu     sync.Mutex
	failed error // a write to stdout or stderr that failed
}

// run runs the command to its end.
func (e *execution) run(p rpc.ExecuteParams) error {
	ctx, cancel := context.WithCancel(e.w.ctx)
	defer cancel()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	events := client.Events{Output: e.output}
	if e.json {
		events = client.Events{Raw: e.raw, Output: e.rawOutput}
	}
	e.id = uuid.NewString() // events may come before the reply
	p.SessionID = e.id
	s, err := e.c.Execute(ctx, p, events)
	if err != nil {
		return spawnStatus(err)
	}
	e.s = s
	go e.forward(ctx, signals)
	if e.stdin {
		go e.feed(ctx)
	}
	rec, err := s.Wait(ctx)
	if err != nil {
		return &statusError{exitRunnelFailed, err}
	}
	return e.status(rec)
}

// spawnStatus is what a shell would exit with.
func spawnStatus(err error) error {
	var e *rpc.Error
	status := exitRunnelFailed
	if errors.As(err, &e) && e.Code == rpc.CodeSpawnFailed {
		if d, ok := e.Data.(rpc.Data); ok {
			switch d["errno"] {
			case "ENOENT":
				status = exitNotFound
			case "EACCES", "ENOEXEC", "EISDIR":
				status = exitNotExecutable
			}
		}
		err = errors.New(e.Message)
	}
	return &statusError{status, err}
}

// status is the command's own exit status, as a shell tells it.
func (e *execution) status(rec *rpc.Completion) error {
	e.mu.Lock()
	failed := e.failed
	e.mu.Unlock()
	switch {
	case failed != nil && !errors.Is(failed, syscall.EPIPE):
		return &statusError{exitRunnelFailed, failed}
	case rec.Reason == rpc.ReasonTimeout || rec.Reason == rpc.ReasonStreamTimeout:
		return &statusError{exitTimeout, fmt.Errorf("ended by the %s", strings.ReplaceAll(rec.Reason, "_", " "))}
	case rec.Signal != nil:
		return &statusError{exitSignalBase + int(unix.SignalNum(*rec.Signal)), nil}
	case rec.ExitCode != nil && *rec.ExitCode != 0:
		return &statusError{*rec.ExitCode, nil}
	case rec.ExitCode == nil:
		return &statusError{exitRunnelFailed, fmt.Errorf("the exit status is not known: %s", rec.Reason)}
	}
	return nil
}

func (e *execution) output(o *client.Output) {
	w := e.w.stdout
	if o.Type == rpc.StreamStderr {
		w = e.w.stderr
	}
	_, err := w.Write(o.Data)
	e.wrote(err)
}

func (e *execution) raw(method string, params []byte) {
	_, err := fmt.Fprintf(e.w.stdout, `{"jsonrpc":"2.0","method":%q,"params":%s}`+"\n", method, params)
	e.wrote(err)
}

// rawOutput prints a process.output as it came.
func (e *execution) rawOutput(o *client.Output) {
	params, err := json.Marshal(o.Params(e.id))
	if err == nil {
		e.raw(rpc.NotifyOutput, params)
	}
}

// wrote notes a write that failed. Nobody reads any more then, which the command learns as it would have
// here: by SIGPIPE.
func (e *execution) wrote(err error) {
	if err == nil {
		return
	}
	e.mu.Lock()
	first := e.failed == nil
	if first {
		e.failed = err
	}
	e.mu.Unlock()
	if first {
		go func() {
			p := rpc.ControlParams{SessionID: e.id, Type: rpc.ControlSignal, Signal: "SIGPIPE"}
			_ = e.c.Call(e.w.ctx, rpc.MethodControl, p, nil)
		}()
	}
}

// forward sends the signals that come to the command's tree. The third SIGINT cancels it.
func (e *execution) forward(ctx context.Context, signals <-chan os.Signal) {
	interrupts := 0
	for {
		select {
		case <-ctx.Done():
			return
		case sig := <-signals:
			if sig == syscall.SIGINT {
				interrupts++
			}
			if interrupts >= interruptsToCancel {
				_ = e.s.Control(ctx, rpc.ControlCancel)
				return
			}
			_ = e.s.Signal(ctx, unix.SignalName(sig.(syscall.Signal)))
		}
	}
}

// feed forwards stdin until its end, or until the command takes no more.
func (e *execution) feed(ctx context.Context) {
	buf := make([]byte, 64<<10)
	for {
		n, err := e.w.stdin.Read(buf)
		if n > 0 && e.s.WriteBytes(ctx, buf[:n], false) != nil {
			return
		}
		if err != nil {
			if errors.Is(err, io.EOF) || n == 0 {
				_ = e.s.WriteBytes(ctx, nil, true)
			}
			return
		}
	}
}
