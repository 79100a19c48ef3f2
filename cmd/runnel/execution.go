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
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

const (
	// interruptsToCancel is the number of SIGINTs after which the session is canceled. One more
	// ends `run` itself.
	interruptsToCancel = 3
	// pipeGrace is how long a command may continue to write after it was sent SIGPIPE.
	pipeGrace = time.Second
)

// errInterrupted is the error of an execution that was ended by a signal before its command has
// ended.
var errInterrupted = errors.New("interrupted")

// execution is a session that `run` or `attach` forwards stdin, output and signals of.
type execution struct {
	inv        *invocation
	conn       *client.Client
	stdin      bool            // forward stdin
	tty        *terminal       // nil unless the session has a terminal
	keyboard   *keyboard       // nil unless tty is in raw mode
	inProcess  bool            // the server is in this process
	livesOn    bool            // the session goes on without this process
	begun      chan struct{}   // closed when output can be written; nil if it can from the beginning
	replay     *replay         // nil unless stdin is a terminal that may answer old output
	over       <-chan struct{} // closed when attach ends
	session    *client.Session
	leaving    chan struct{} // see requestLeave
	lost       atomic.Bool   // there is no connection, or the server does not respond
	repaints   chan struct{} // see repaintOnRequest
	events     client.Events
	controls   chan rpc.ControlParams // requests because of writeErr: at most two, and one of leaving
	jobControl jobControl
	queued     atomic.Bool        // the session waits for a slot
	ended      bool               // the completion record was received
	sandbox    *rpc.SandboxReport // of the completion record, or nil

	// Used by the goroutine that delivers events, and by run after the last event.
	writeErr   error // of the first failed write to stdout or stderr
	writeErrAt time.Time
	canceled   bool // because of writeErr

	lines sync.Mutex // held while a line of --json is printed
}

func newExecution(inv *invocation, stdin bool) *execution {
	e := &execution{inv: inv, stdin: stdin, controls: make(chan rpc.ControlParams, 3)}
	e.leaving, e.repaints = make(chan struct{}, 1), make(chan struct{}, 1)
	e.jobControl.repaint = e.requestRepaint
	e.events = client.Events{Output: e.output, Gap: e.gap, Queued: e.reportQueued, State: e.state, Screen: e.paint, Window: window}
	return e
}

// run executes the command and waits for its end.
func (e *execution) run(p rpc.ExecuteParams) error {
	ctx, abort := context.WithCancelCause(e.inv.ctx)
	defer abort(nil)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, notIgnored(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)...)
	defer signal.Stop(signals)
	defer e.jobControl.listen()()
	started := make(chan struct{})
	go e.forwardSignals(ctx, abort, p.SessionID, started, signals)
	go e.leaveOnRequest(ctx, abort, started)
	if e.keyboard != nil {
		go e.keyboard.read(ctx, e.inv.stdin, e.requestLeave)
	}
	s, err := e.conn.Execute(ctx, p, e.events)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return startError(err, &p)
	}
	e.session = s
	close(started)
	go e.jobControl.run(ctx, s)
	if e.tty != nil {
		go e.tty.followSize(ctx, s, p.PTY.Rows, p.PTY.Cols)
		go e.repaintOnRequest(ctx, s)
	}
	e.forwardInput(ctx, abort, s)
	return e.wait(ctx, s, &p)
}

// forwardInput forwards the keyboard or stdin, on another goroutine.
func (e *execution) forwardInput(ctx context.Context, abort context.CancelCauseFunc, s *client.Session) {
	switch {
	case e.keyboard != nil && !e.keyboard.readOnly:
		go e.forwardKeys(ctx, abort, s)
	case e.keyboard == nil && e.stdin:
		go e.forwardStdin(ctx, abort, s)
	}
}

// wait waits for the end of the session and returns its status.
func (e *execution) wait(ctx context.Context, s *client.Session, p *rpc.ExecuteParams) error {
	rec, err := s.Wait(ctx)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, client.ErrDetached):
		return errDetached
	case notStarted(err):
		return startError(err, p)
	case err != nil:
		return &statusError{exitRunnelFailed, e.lostServer(err)}
	}
	e.ended = true
	e.sandbox = rec.Sandbox
	return e.status(rec)
}

// lostServer returns the error of an execution that has lost its server.
func (e *execution) lostServer(err error) error {
	if e.livesOn {
		return fmt.Errorf(`lost the server: %w; if the session goes on, "runnel attach %s" comes back to it`, err, e.session.ID())
	}
	return fmt.Errorf("lost the server: %w", err)
}

// notStarted reports whether a session that was queued has failed to start. Other errors of the server
// mean that a reconnect has not found the session.
func notStarted(err error) bool {
	var e *rpc.Error
	return errors.As(err, &e) && e.Code != rpc.CodeSessionNotFound && e.Code != rpc.CodeForbidden
}

// startError returns the error of a failed execute, with the exit status that env(1) has if the
// program cannot be executed.
func startError(err error, p *rpc.ExecuteParams) error {
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
	case data["kind"] == "sandbox_failed":
		return &statusError{exitRunnelFailed, errors.New(e.Message + `; see the log of the server, and "runnel sandbox check" on its machine`)}
	case isDirectoryError(data, p):
		return &statusError{exitRunnelFailed, errors.New("working directory " + strings.TrimPrefix(e.Message, "Cannot start "))}
	case errno == "EAGAIN", errno == "ENOMEM", errno == "EMFILE", errno == "ENFILE":
		status = exitRunnelFailed
	case errno == "ENOENT":
		status = exitNotFound
	}
	return &statusError{status, errors.New(e.Message)}
}

// isDirectoryError reports whether a command was not started because of its working directory. If
// that is also the program, only an errno that a directory does not have as a program tells.
func isDirectoryError(data rpc.Data, p *rpc.ExecuteParams) bool {
	dir := string([]rune(string(p.Cwd))) // as the server sends it
	if data["path"] != dir {
		return false
	}
	isProgram := len(p.Command.Argv) > 0 && string([]rune(p.Command.Argv[0])) == dir
	return !isProgram || data["errno"] == "ENOENT" || data["errno"] == "ENOTDIR"
}

// status returns the exit status of the command, or the first error of stdout or stderr.
func (e *execution) status(rec *rpc.Completion) error {
	if e.writeErr != nil && !errors.Is(e.writeErr, syscall.EPIPE) {
		return &statusError{exitRunnelFailed, e.writeErr}
	}
	return recordStatus(rec)
}

// recordStatus returns the exit status of a command as a shell reports it, or why it has none.
func recordStatus(rec *rpc.Completion) error {
	switch {
	case rec.Reason == rpc.ReasonTimeout || rec.Reason == rpc.ReasonStreamTimeout:
		return &statusError{exitTimeout, fmt.Errorf("ended by the %s", strings.ReplaceAll(rec.Reason, "_", " "))}
	case rec.Reason == rpc.ReasonDisconnected:
		return &statusError{exitRunnelFailed, errors.New("ended because no client was attached")}
	case rec.Reason == rpc.ReasonShutdown:
		return &statusError{exitRunnelFailed, errors.New("ended by the shutdown of the server")}
	case rec.Signal != nil:
		return &statusError{exitSignalBase + signalNumber(*rec.Signal), nil}
	case rec.ExitCode != nil && *rec.ExitCode != 0:
		return &statusError{*rec.ExitCode, nil}
	case rec.ExitCode == nil:
		return &statusError{exitRunnelFailed, fmt.Errorf("exit status is unknown: %s", rec.Reason)}
	}
	return nil
}

// signalNumber returns the number of a signal from its name in a record, which is like SIG34 for a
// real-time signal.
func signalNumber(name string) int {
	if n := unix.SignalNum(name); n != 0 {
		return int(n)
	}
	n, _ := strconv.Atoi(strings.TrimPrefix(name, "SIG"))
	return n
}

func (e *execution) output(o *client.Output) {
	defer e.tty.restoreAfterPanic()
	w := e.inv.stdout
	if o.Type == rpc.StreamStderr {
		w = e.inv.stderr
	}
	if !e.isBegun() {
		return
	}
	data := o.Data
	if e.replay != nil {
		data = e.replay.filter(o, w)
	}
	var err error
	if e.tty != nil && e.tty.out != nil {
		err = e.tty.write(data)
	} else {
		_, err = w.Write(data)
	}
	e.handleWriteError(err)
}

// say prints a message about the session to stderr. On a terminal in raw mode it is in lines of its own,
// and the screen is painted again, since the message is on it.
func (e *execution) say(format string, args ...any) {
	text := fmt.Sprintf("runnel: "+format, args...)
	if !e.tty.isRaw() || !e.stderrIsTerminal() {
		fmt.Fprintln(e.inv.stderr, text)
		return
	}
	e.tty.message(e.inv.stderr, text)
	e.requestRepaint()
}

// reportQueued reports that the session waits for a slot, to a terminal only.
func (e *execution) reportQueued(rpc.Queued) {
	if e.queued.Swap(true) {
		return
	}
	if e.stderrIsTerminal() {
		e.say("waiting for a slot")
	}
}

// state is called when the session has started, and when it is paused or resumed.
func (e *execution) state(rpc.StateEvent) { e.queued.Store(false) }

// gap reports lost output. On a terminal the screen is painted again instead.
func (e *execution) gap(g rpc.Gap) {
	if e.tty.isRaw() && e.tty.out != nil {
		e.requestRepaint()
		return
	}
	e.say("%d bytes of output were lost", g.LostBytes)
}

// printRaw prints a notification as a line.
func (e *execution) printRaw(message []byte) {
	e.lines.Lock()
	defer e.lines.Unlock()
	_, err := fmt.Fprintf(e.inv.stdout, "%s\n", message)
	e.handleWriteError(err)
}

// handleWriteError handles a failed write to stdout or stderr, whose reader has exited. A command
// that ran here would get SIGPIPE, so it is sent SIGPIPE. If it ignores that and still writes after
// pipeGrace, it is canceled: the protocol cannot make its writes fail with EPIPE.
func (e *execution) handleWriteError(err error) {
	switch {
	case err == nil:
	case e.writeErr == nil:
		e.writeErr, e.writeErrAt = err, time.Now()
		e.controls <- signalParams(syscall.SIGPIPE)
	case !e.canceled && time.Since(e.writeErrAt) > pipeGrace:
		e.canceled = true
		e.controls <- rpc.ControlParams{Type: rpc.ControlCancel}
	}
}

// forwardSignals forwards signals, and the requests of e.controls, to the session. A signal before
// the command has started is forwarded when it has. A second signal before the start, one while the
// session waits for a slot, and one more than interruptsToCancel SIGINTs, end the execution, without a
// connection, too. Signals that are to end the command are followed by SIGCONT, since a command that has
// stopped does not act on them; the server refuses it while the session is paused. forwardSignals does not
// wait for replies: they are not received while stdout blocks.
func (e *execution) forwardSignals(ctx context.Context, abort context.CancelCauseFunc, id string, started <-chan struct{}, signals <-chan os.Signal) {
	requests := make(chan rpc.ControlParams, 8)
	go e.sendControls(ctx, id, requests)
	control := func(p rpc.ControlParams) {
		select {
		case requests <- p:
		default: // eight are queued already
		}
	}
	forward := func(sig syscall.Signal) {
		control(signalParams(sig))
		if sig != syscall.SIGUSR1 && sig != syscall.SIGUSR2 {
			control(signalParams(syscall.SIGCONT))
		}
	}
	interrupts := 0
	var early syscall.Signal              // before the start
	var controls <-chan rpc.ControlParams // nil before the start
	for {
		select {
		case <-ctx.Done():
			return
		case <-started:
			started, controls = nil, e.controls
			if early != 0 {
				forward(early)
			}
		case p := <-controls:
			control(p)
		case s := <-signals:
			if s == syscall.SIGINT {
				interrupts++
			}
			switch sig := s.(syscall.Signal); {
			case sig == syscall.SIGHUP && e.livesOn:
				e.requestLeave()
			case interrupts > interruptsToCancel, controls == nil && early != 0, e.queued.Load():
				abort(&statusError{exitSignalBase + int(sig), errInterrupted})
			case controls == nil:
				early = sig
			case interrupts == interruptsToCancel:
				control(rpc.ControlParams{Type: rpc.ControlCancel})
			default:
				forward(sig)
			}
		}
	}
}

// sendControls sends the requests to the session. It waits while there is no connection.
func (e *execution) sendControls(ctx context.Context, id string, requests <-chan rpc.ControlParams) {
	for {
		select {
		case p := <-requests:
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

// forwardStdin forwards stdin until its end, or until the command has closed its own. Any other
// failed write ends the execution, since the command would wait for input that is never sent. A
// read error is printed, and the command gets the end of its input.
func (e *execution) forwardStdin(ctx context.Context, abort context.CancelCauseFunc, s *client.Session) {
	w := e.stdinWriter(ctx, abort, s)
	buf := make([]byte, 64<<10)
	for {
		n, end := e.inv.stdin.Read(buf)
		if end != nil && end != io.EOF && !errors.Is(end, syscall.EBADF) { // nohup(1) makes stdin unreadable
			fmt.Fprintf(e.inv.stderr, "runnel: stdin: %v\n", end)
		}
		_, err := w.Write(buf[:n])
		if err == nil && end != nil {
			err = w.Close()
		}
		e.checkInput(abort, err)
		if err != nil || end != nil {
			return
		}
	}
}

// stdinWriter returns a writer whose failure ends the execution.
func (e *execution) stdinWriter(ctx context.Context, abort context.CancelCauseFunc, s *client.Session) *client.StdinWriter {
	w := s.StdinWriter(ctx)
	go func() {
		<-w.Done()
		e.checkInput(abort, w.Err())
	}()
	return w
}

// checkInput ends the execution after a failed write, unless the command reads no more input.
func (e *execution) checkInput(abort context.CancelCauseFunc, err error) {
	if err != nil && !e.inputClosed(err) {
		abort(&statusError{exitRunnelFailed, fmt.Errorf("stdin: %w", err)})
	}
}

// inputClosed reports whether a write failed because the command reads no more input, or because
// the client is closed. If the client reconnects, a write of an attach that failed with its
// connection is a real error: its data may be lost.
func (e *execution) inputClosed(err error) bool {
	var refused *rpc.Error
	if errors.As(err, &refused) {
		return refused.Code == rpc.CodeStdinClosed || refused.Code == rpc.CodeSessionNotFound
	}
	select {
	case <-e.conn.Done():
		return errors.Is(err, client.ErrClosed)
	default:
		return false
	}
}
