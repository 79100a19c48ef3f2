package session

import (
	"container/list"
	"context"
	"errors"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/stream"
)

// This file is the start of a session: Begin → begin → start → accept → run, or fail. A session that
// waits for a slot is in the queue between Begin and begin: see queue.go.
//
// A file system may block the start in a system call for any time. So the start may run in a
// goroutine that nothing waits for; the session can fail before it returns, by its timeout or by an
// end that is requested. The session then keeps its slot, and is reported as starting, until the
// start has returned.

// cancelWait is how long a start that was canceled may take to return before the session fails.
const cancelWait = 100 * time.Millisecond

// starting is the start of a session. It is part of the status, so Session.update protects it.
type starting struct {
	called       bool                    // Begin was called
	begun        time.Time               // when the start began: at Begin, or when a slot was given; zero before
	attempt      *process.Attempt        // nil before the start begins, and from accept on
	cancel       context.CancelCauseFunc // of the attempt
	timeout      *time.Timer             // fails the session; nil without Options.StartTimeout
	cancelTimer  *time.Timer             // fails the session cancelWait after cancel
	accepted     bool                    // the command runs, and the start can no longer fail
	failure      error                   // why the session failed
	failureKept  bool                    // see View.FailureKept
	slotReleased bool                    // the session failed, and the start has returned
	deferred     list.List               // of func(), for after the start: see AfterStart
	deferredDone bool                    // all were called; no more are taken
}

func (start *starting) stopTimers() {
	for _, t := range []*time.Timer{start.timeout, start.cancelTimer} {
		if t != nil {
			t.Stop()
		}
	}
}

// Start calls Begin and waits until the command runs or the start has failed. The error is
// View.Failure.
func (s *Session) Start() error {
	s.Begin()
	<-s.ready
	return s.View().Failure
}

// Begin begins to start the process. It must be called at most once, and does not wait for a file
// system. Ready is closed when the command runs or the start has failed. In the latter case
// View.Failure is ErrCanceled or ErrShuttingDown if an end was requested before the command ran,
// else an error of [process.Attempt.Start]. If the start fails, the session's slot is released
// when Attempt.Start has returned.
//
// A session without a slot joins the queue instead, and its start begins when it is given a slot. Then
// View.Failure may also be the error that Reserve would have returned without Spec.QueueTimeout, or that
// of Spec.MakeSandbox.
func (s *Session) Begin() {
	if !s.waits {
		s.begin()
		return
	}
	s.update(func(st *sessionStatus) { st.start.called = true })
	s.joinQueue()
}

// renewSandbox makes the sandbox of a session that has waited for a slot anew.
func (s *Session) renewSandbox() (err error) {
	if s.waits && s.spec.MakeSandbox != nil {
		s.spec.Program.Sandbox, err = s.spec.MakeSandbox()
	}
	return err
}

// begin begins the start of a session that has a slot.
func (s *Session) begin() {
	if err := s.renewSandbox(); err != nil {
		s.fail(err, true)
		return
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	program := s.spec.Program
	program.Tag = s
	if c := program.Sandbox; c != nil && c.Network.Mode == sandbox.AllowList {
		program.Connections = s.connections.serving(c.Network.Allow)
	}
	attempt := s.reg.o.Host.Attempt(program)
	ended, begun := false, time.Now()
	s.update(func(st *sessionStatus) {
		if st.state == Queued {
			st.stopLinger() // setRunning starts it anew
			st.move(Starting)
		}
		st.start.called = true
		st.start.attempt, st.start.cancel, st.start.begun = attempt, cancel, begun
		ended = st.end.phase == requested
	})
	s.beginSpooled(begun)
	switch {
	case ended:
		cancel(nil)
		s.fail(errEndRequested, true)
	case attempt.Prepare(): // a goroutine would cost 2 % of a short command's time
		if s.byTurns {
			s.turn = s.reg.turns.enter(s.spec.Owner)
			defer s.turn.started()
		}
		s.start(ctx, cancel, attempt)
	default:
		s.setStartTimeout()
		go func() {
			if s.byTurns {
				s.turn = s.reg.turns.enterBriefly(s.spec.Owner)
				defer s.turn.started()
			}
			s.start(ctx, cancel, attempt)
		}()
	}
}

func (s *Session) setStartTimeout() {
	if s.reg.o.StartTimeout > 0 {
		s.update(func(st *sessionStatus) { st.start.timeout = time.AfterFunc(s.reg.o.StartTimeout, s.startTimedOut) })
	}
}

// StartMayWait reports whether the start may wait for a file system. If not, it is about to return.
func (s *Session) StartMayWait() (may bool) {
	s.update(func(st *sessionStatus) {
		a := st.start.attempt
		may = st.start.begun.IsZero() || a != nil && a.MayWait()
	})
	return may
}

// start starts the process, for as long as a file system takes.
func (s *Session) start(ctx context.Context, cancel context.CancelCauseFunc, attempt *process.Attempt) {
	defer cancel(nil)
	unspooled := s.awaitSpooled()
	p, err := attempt.Start(ctx)
	if c := s.spec.Program.Sandbox; c != nil && err != nil {
		s.logSandboxFailure(err)
		err = c.Locate(err)
	}
	s.releaseProgram()
	switch {
	case err != nil:
		s.connections.close()
		s.turn.end()
		if errors.Is(err, context.Canceled) {
			err = errEndRequested
		}
		s.fail(err, true)
	case s.accept():
		s.run(p, unspooled)
	default: // the session has failed before
		s.connections.close()
		p.Discard()
		s.fail(errEndRequested, true)
	}
}

// logSandboxFailure logs why a sandbox could not be made, which the client is not told.
func (s *Session) logSandboxFailure(err error) {
	if failed, ok := errors.AsType[*process.SandboxError](err); ok && !errors.Is(failed, context.Canceled) {
		s.logged(s.reg.o.Log.Warn()).Err(failed).Msg("sandbox not made")
	}
}

// accept reports whether the session still needs its process. If so, the start can no longer fail.
func (s *Session) accept() (accepted bool) {
	s.update(func(st *sessionStatus) {
		accepted = st.state == Starting
		st.start.accepted = accepted
		// It refers to arguments and environment, which an ended session must not keep.
		st.start.attempt = nil
		st.start.stopTimers()
	})
	return accepted
}

// run makes p the session's process. unspooled is why its output is not kept.
func (s *Session) run(p *process.Process, unspooled error) {
	s.startDeadlines(func() bool { return hasUnread(p) })
	if s.spec.Program.Terminal != nil {
		s.log.Record(p.Started())
	}
	s.openStdin(p)
	s.setRunning(p, p.Started())
	s.tellUnspooled(unspooled)
	s.logSandbox(p.Sandbox())
	if f := s.reg.o.OnRunning; f != nil {
		f(s)
	}
	s.reg.supervise(s, p)
	close(s.ready) // wakes the requests that wait for the start
	s.runDeferred()
}

// startDeadlines starts the deadlines of the command. hasUnread reports whether there is output
// that was not read yet.
func (s *Session) startDeadlines(hasUnread func() bool) {
	s.timeout = stream.NewDeadline(s.spec.Timeout, func() { s.End(TimedOut, nil) })
	s.streamTimeout = stream.NewIdleDeadline(s.spec.StreamTimeout, hasUnread, func() {
		s.End(StreamTimedOut, nil)
	})
	s.blocked.add(s.streamTimeout)
}

// setRunning moves the session to the state Running, and further if its end was requested already.
func (s *Session) setRunning(p tree, forked time.Time) {
	s.update(func(st *sessionStatus) {
		st.proc, st.forked = p, forked
		st.move(Running)
		s.appendChange(st, "started")
		if t := s.spec.Program.Terminal; t != nil {
			s.addSize(st, t.Rows, t.Cols)
		}
		s.startLinger(st)
		if st.end.phase == requested {
			s.signalEnd(st)
		}
	})
}

// hasUnread reports whether a pipe of the process has data that was not read yet.
func hasUnread(p *process.Process) bool {
	return p.Stdout().Unread() || p.Stderr() != nil && p.Stderr().Unread()
}

// errStartTimeout is why a start was canceled. Only the log has it: the session has failed before.
var errStartTimeout = errors.New("the start has taken too long")

// startTimedOut fails a session whose start takes too long.
func (s *Session) startTimedOut() {
	var attempt *process.Attempt
	var cancel context.CancelCauseFunc
	s.update(func(st *sessionStatus) { attempt, cancel = st.start.attempt, st.start.cancel })
	if attempt != nil {
		s.fail(attempt.TimedOut(), false)
	}
	cancel(errStartTimeout)
}

// cancelStart cancels the start of a session, if it has begun and the command does not run yet.
func (s *Session) cancelStart(start *starting) {
	if start.begun.IsZero() || start.accepted {
		return
	}
	start.cancel(nil)
	start.cancelTimer = time.AfterFunc(cancelWait, func() { s.fail(errEndRequested, false) })
}

// errEndRequested makes fail report the cause of the end that was requested.
var errEndRequested = errors.New("end requested")

func (st *sessionStatus) endRequestedError() error {
	if st.end.cause == Shutdown {
		return ErrShuttingDown
	}
	return ErrCanceled
}

// Discard fails a session for which Begin was not called, and releases its slot. Otherwise it has
// no effect.
func (s *Session) Discard() { s.Refuse(errDiscarded) }

// Refuse is Discard with the error for those that wait for the session.
func (s *Session) Refuse(why error) {
	if !s.begun() {
		s.fail(why, true)
	}
}

// fail ends a session whose command does not run. If returned is true, Attempt.Start has returned
// or was not called: then the session's slot is released, and the session is removed from the registry,
// or retained if it has waited for a slot.
func (s *Session) fail(why error, returned bool) {
	release, failed, kept := false, false, false
	var attached []*Attachment
	s.update(func(st *sessionStatus) {
		release = returned && !st.start.slotReleased
		st.start.slotReleased = st.start.slotReleased || returned
		if failed = st.start.mayFail(st.state); failed {
			if why == errEndRequested {
				why = st.endRequestedError()
			}
			st.start.stopTimers()
			st.stopLinger()
			st.start.failure, st.start.failureKept = why, s.waits && st.start.called
			st.move(Ended)
			if !st.start.failureKept {
				attached = append(s.detachAll(st, nil), st.detachWatching()...)
			}
		}
		kept = st.start.failureKept
	})
	if release {
		s.discardSpooled()
		s.releaseProgram()
		// This is before close(ready), so that a client that has the error finds the slot free.
		s.reg.releaseFailed(s, kept)
	}
	if failed {
		s.stdin.shut("the command did not start")
		if kept {
			s.log.AppendNote(&Failed{why})
		}
		s.reportEnded()
		s.reg.wg.Done()
		close(s.ready)
		close(s.done)
		reportDetached(attached)
		s.runDeferred()
	}
}

// mayFail reports whether a start in that state can fail.
func (start *starting) mayFail(state State) bool {
	return (state == Queued || state == Starting) && !start.accepted
}

// releaseProgram releases the memory of what only the start needs.
func (s *Session) releaseProgram() {
	p := &s.spec.Program
	p.Argv, p.Env, p.Attributes.Soft, p.Check, p.Sandbox = nil, nil, nil, nil, nil
	s.spec.MakeSandbox = nil
}

// AfterStart defers f until the start has succeeded or failed, after the functions that were
// deferred before. remove gives f up, which may be called already; it may be called at any time. A
// session may wait for its start without a limit, so a caller that no longer needs f must call it.
// deferred is false if all functions were called already: then f is not called. f must not wait.
func (s *Session) AfterStart(f func()) (remove func(), deferred bool) {
	var e *list.Element
	s.update(func(st *sessionStatus) {
		if !st.start.deferredDone {
			e = st.start.deferred.PushBack(f)
		}
	})
	if e == nil {
		return func() {}, false
	}
	return func() { s.update(func(st *sessionStatus) { st.start.deferred.Remove(e) }) }, true
}

// runDeferred calls the deferred functions in order, also those that are deferred meanwhile.
func (s *Session) runDeferred() {
	for {
		var f func()
		s.update(func(st *sessionStatus) {
			first := st.start.deferred.Front()
			if first == nil {
				st.start.deferredDone = true
				return
			}
			f = st.start.deferred.Remove(first).(func())
		})
		if f == nil {
			return
		}
		f()
	}
}
