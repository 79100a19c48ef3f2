package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

const (
	// interruptsToCancel is how many Ctrl-C cancel what does not end on SIGINT. One more gives up on it.
	interruptsToCancel = 3
	// pipeGrace is how long a command may go on writing after it was told that nobody reads.
	pipeGrace = time.Second
)

// errGivenUp says that a signal ended the execution before the command did.
var errGivenUp = errors.New("interrupted")

// execution is one command that runs as if it ran here.
type execution struct {
	w      *world
	conn   *client.Client
	stdin  bool
	tty    *terminal // nil without --pty
	events client.Events
	tell   chan rpc.ControlParams // what the session is to be told because of failed: two at most
	stops  stops

	// These belong to the goroutine that tells events, and to run once that has told all.
	failed   error // a write to stdout or stderr that failed
	failedAt time.Time
	canceled bool // because of it

	lines sync.Mutex // held while a line of --json is printed
}

func newExecution(w *world, stdin bool) *execution {
	e := &execution{w: w, stdin: stdin, tell: make(chan rpc.ControlParams, 2)}
	e.events = client.Events{Output: e.output, Gap: e.gap, Window: window}
	return e
}

// run runs the command to its end.
func (e *execution) run(p rpc.ExecuteParams) error {
	ctx, giveUp := context.WithCancelCause(e.w.ctx)
	defer giveUp(nil)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unlessIgnored(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)...)
	defer signal.Stop(signals)
	defer e.stops.listen()()
	begun := make(chan struct{})
	go e.forward(ctx, giveUp, p.SessionID, begun, signals)
	s, err := e.conn.Execute(ctx, p, e.events)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return startStatus(err, &p)
	}
	close(begun)
	if e.stdin {
		go e.feed(ctx, giveUp, s)
	}
	go e.stops.follow(ctx, s)
	if e.tty != nil {
		go e.tty.follow(ctx, s)
	}
	return e.wait(ctx, s)
}

// wait waits for the command's end and returns its status.
func (e *execution) wait(ctx context.Context, s *client.Session) error {
	rec, err := s.Wait(ctx)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return &statusError{exitRunnelFailed, fmt.Errorf("lost the server: %w", err)}
	}
	return e.status(rec)
}

// startStatus is what env(1) would exit with: a program that can't be run is told from all else.
func startStatus(err error, p *rpc.ExecuteParams) error {
	var large *client.TooLargeError
	if errors.As(err, &large) {
		err = fmt.Errorf("the command with its arguments and environment is too large: %w", err)
	}
	var e *rpc.Error
	if !errors.As(err, &e) || e.Code != rpc.CodeSpawnFailed {
		return &statusError{exitRunnelFailed, err}
	}
	data, _ := e.Data.(rpc.Data)
	status := exitNotExecutable
	switch errno := data["errno"]; {
	case data["path"] == string([]rune(string(p.Cwd))), errno == "EAGAIN", errno == "ENOMEM", errno == "EMFILE", errno == "ENFILE":
		status = exitRunnelFailed
	case errno == "ENOENT":
		status = exitNotFound
	}
	return &statusError{status, errors.New(e.Message)}
}

// status is the command's own exit status, as a shell tells it.
func (e *execution) status(rec *rpc.Completion) error {
	switch {
	case e.failed != nil && !errors.Is(e.failed, syscall.EPIPE):
		return &statusError{exitRunnelFailed, e.failed}
	case rec.Reason == rpc.ReasonTimeout || rec.Reason == rpc.ReasonStreamTimeout:
		return &statusError{exitTimeout, fmt.Errorf("ended by the %s", strings.ReplaceAll(rec.Reason, "_", " "))}
	case rec.Reason == rpc.ReasonDisconnected:
		return &statusError{exitRunnelFailed, errors.New("ended because nobody was connected")}
	case rec.Reason == rpc.ReasonShutdown:
		return &statusError{exitRunnelFailed, errors.New("ended by the server's shutdown")}
	case rec.Signal != nil:
		return &statusError{exitSignalBase + signalNumber(*rec.Signal), nil}
	case rec.ExitCode != nil && *rec.ExitCode != 0:
		return &statusError{*rec.ExitCode, nil}
	case rec.ExitCode == nil:
		return &statusError{exitRunnelFailed, fmt.Errorf("the exit status is not known: %s", rec.Reason)}
	}
	return nil
}

// signalNumber is that of a name as the server tells it; SIG34 for one that has none.
func signalNumber(name string) int {
	if n := unix.SignalNum(name); n != 0 {
		return int(n)
	}
	n, _ := strconv.Atoi(strings.TrimPrefix(name, "SIG"))
	return n
}

func (e *execution) output(o *client.Output) {
	w := e.w.stdout
	if o.Type == rpc.StreamStderr {
		w = e.w.stderr
	}
	_, err := w.Write(o.Data)
	e.wrote(err)
}

// gap says what did not come.
func (e *execution) gap(g rpc.Gap) {
	fmt.Fprintf(e.w.stderr, "runnel: %d bytes of output were lost\n", g.LostBytes)
}

// line prints a notification.
func (e *execution) line(message []byte) {
	e.lines.Lock()
	defer e.lines.Unlock()
	_, err := fmt.Fprintf(e.w.stdout, "%s\n", message)
	e.wrote(err)
}

// wrote notes a write that failed: nobody reads any more. Here the command would have learned that by
// SIGPIPE, and so it does. One that ignores that would have got EPIPE, for which there is no way over the wire;
// if it still writes after a while it is canceled.
func (e *execution) wrote(err error) {
	switch {
	case err == nil:
	case e.failed == nil:
		e.failed, e.failedAt = err, time.Now()
		e.tell <- signalParams(syscall.SIGPIPE)
	case !e.canceled && time.Since(e.failedAt) > pipeGrace:
		e.canceled = true
		e.tell <- rpc.ControlParams{Type: rpc.ControlCancel}
	}
}

// forward tells the session what there is to tell, and sends the signals that come to its tree; the first one
// waits until the command has begun. A second one that would have to wait, and a Ctrl-C too many, end the
// execution itself, also while there is no connection to send by. No answer is waited for: none comes past a
// stdout that nobody reads.
func (e *execution) forward(ctx context.Context, giveUp context.CancelCauseFunc, id string, begun <-chan struct{}, signals <-chan os.Signal) {
	said := make(chan rpc.ControlParams, 8)
	go e.say(ctx, id, said)
	control := func(p rpc.ControlParams) {
		select {
		case said <- p:
		default: // the command would get them in one lump
		}
	}
	interrupts := 0
	var early syscall.Signal
	var tell <-chan rpc.ControlParams // nil until the command has begun
	for {
		select {
		case <-ctx.Done():
			return
		case <-begun:
			begun, tell = nil, e.tell
			if early != 0 {
				control(signalParams(early))
			}
		case p := <-tell:
			control(p)
		case s := <-signals:
			if s == syscall.SIGINT {
				interrupts++
			}
			switch sig := s.(syscall.Signal); {
			case interrupts > interruptsToCancel, tell == nil && early != 0:
				giveUp(&statusError{exitSignalBase + int(sig), errGivenUp})
			case tell == nil:
				early = sig
			case interrupts == interruptsToCancel:
				control(rpc.ControlParams{Type: rpc.ControlCancel})
			default:
				control(signalParams(sig))
			}
		}
	}
}

// say sends what comes to be said; it waits where there is no connection.
func (e *execution) say(ctx context.Context, id string, said <-chan rpc.ControlParams) {
	for {
		select {
		case p := <-said:
			p.SessionID = id
			_ = e.conn.Notify(ctx, rpc.MethodControl, p)
		case <-ctx.Done():
			return
		}
	}
}

func signalParams(sig syscall.Signal) rpc.ControlParams {
	return rpc.ControlParams{Type: rpc.ControlSignal, Signal: unix.SignalName(sig)}
}

// feed forwards stdin until its end, or until the command takes no more. Any other error of the command's side is
// the execution's: the command would wait for an input that never comes. One of reading can't be given on, so it
// looks like the end to the command, and is told here.
func (e *execution) feed(ctx context.Context, giveUp context.CancelCauseFunc, s *client.Session) {
	buf := make([]byte, 64<<10)
	for {
		n, end := e.w.stdin.Read(buf)
		if end != nil && end != io.EOF && !errors.Is(end, syscall.EBADF) { // nohup(1) gives a stdin that can't be read
			fmt.Fprintf(e.w.stderr, "runnel: stdin: %v\n", end)
		}
		err := s.WriteBytes(ctx, buf[:n], end != nil)
		if err != nil && !e.over(err) {
			giveUp(&statusError{exitRunnelFailed, fmt.Errorf("stdin: %w", err)})
		}
		if err != nil || end != nil {
			return
		}
	}
}

// over reports whether a write failed because the command takes no more, or all is over anyway. One to a session
// that was attached to is not made again after a drop, and then all is not over: what it held may be lost.
func (e *execution) over(err error) bool {
	var answer *rpc.Error
	if errors.As(err, &answer) {
		return answer.Code == rpc.CodeStdinClosed || answer.Code == rpc.CodeSessionNotFound
	}
	select {
	case <-e.conn.Done():
		return errors.Is(err, client.ErrClosed)
	default:
		return false
	}
}
