package session

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/stream"
)

// This file is the end of a session, from a request or the exit of the command to the record. An
// end is requested by cancel, a deadline, the disconnect of the last connection, or a shutdown.
//
//	                 notEnding
//	                  │  │  │
//	    End, while it │  │  │ the command exits by itself, or End finds
//	    is starting   │  │  │ that it has exited
//	        ┌─────────┘  │  └─────────────────────┐
//	        ▼            │ End                    │
//	    requested        │                        │
//	        │            ▼                        │
//	        └────────▶ signaled                   │
//	    the command      │ the command exits,     │
//	    runs             │ by SIGKILL if the      │
//	                     │ grace passes           │
//	                     ▼                        │
//	                   exited ◀───────────────────┘
//	                     │  │ a pipe is still open
//	                     │  └───────▶ draining
//	                     │               │ the pipes are closed, or drainGrace has passed
//	                     ▼               │
//	                  sweeping ◀─────────┘
//	                     │ the rest of the tree has ended, the rest of the output is read,
//	                     │ the command is reaped
//	                     ▼
//	                   done: the record is in the log
//
// The supervisor moves the phase from exited on. It is a goroutine that begins when the command has
// exited. It drains before it sweeps, because descendants that are about to write would lose their
// output otherwise.
//
// The path of a cancel is Cancel → endWith → requestEnd → signalEnd, in update, which then sends
// the signal. If the grace passes: graceExpired. When the command exits: supervise → afterExit →
// noteExit → drain → sweep → complete, which makes the record.

// drainGrace is how long pipes that descendants have open are read after the command's exit. Time
// in which the log is blocked by a client does not count if the command has exited by itself.
const drainGrace = 250 * time.Millisecond

// endPhase is how far the end of a session has got. A later phase has a larger number.
type endPhase uint8

const (
	notEnding endPhase = iota
	requested          // an end was requested, and the command does not run yet
	signaled           // the tree is sent the stop signal, or SIGKILL if the grace is 0
	exited             // the command has exited
	draining           // the supervisor reads pipes that descendants have open
	sweeping           // the supervisor ends the rest of the tree
	done               // the record is in the log
)

func (p endPhase) String() string {
	return [...]string{"not ending", "requested", "signaled", "exited", "draining", "sweeping", "done"}[p]
}

// nextPhases lists the phases that may follow each.
var nextPhases = [...][]endPhase{
	notEnding: {requested, signaled, exited},
	requested: {signaled},
	signaled:  {exited},
	exited:    {draining, sweeping},
	draining:  {sweeping},
	sweeping:  {done},
	done:      {},
}

// ending is the end of a session. It is part of the status, so Session.update protects it.
type ending struct {
	phase     endPhase
	cause     Cause          // of the end, from requested on
	signal    syscall.Signal // first signal that was requested; 0 is that of the Spec
	unsent    syscall.Signal // signal that update has to send to the tree; 0 is none
	grace     time.Duration  // between the first signal and SIGKILL
	killAt    time.Time      // when the grace passes, if timer is set
	timer     *time.Timer    // calls graceExpired at killAt, and later Process.Abandon
	graceOver bool           // killAt has passed
	skipDrain bool           // draining does not wait (any more)
	escalated bool           // SIGKILL was sent
	// interrupt ends the wait of the supervisor in the current phase; nil if it does not wait.
	interrupt context.CancelFunc
}

// advance changes the phase. A step that nextPhases does not list is a bug of this package.
func (e *ending) advance(to endPhase) {
	if !slices.Contains(nextPhases[e.phase], to) {
		panic(fmt.Sprintf("session: phase %v after %v", to, e.phase))
	}
	e.phase = to
}

// mayWait reports whether the supervisor may wait in the current phase.
func (e *ending) mayWait() bool {
	switch e.phase {
	case notEnding: // for descendants, with Spec.WaitForTree
		return true
	case draining: // for the end of the output
		return !e.skipDrain
	case sweeping: // for the tree to react to the stop signal
		return !e.graceOver
	}
	return false
}

// interruptWait is called by every update. If the phase no longer permits the supervisor to wait,
// it cancels the context of waitIn, which ends the wait.
func (e *ending) interruptWait() {
	if e.interrupt != nil && !e.mayWait() {
		e.interrupt()
		e.interrupt = nil
	}
}

// check panics if the phase contradicts the state.
func (e *ending) check(st *sessionStatus) {
	ok := false
	switch st.state {
	case Queued, Starting:
		ok = e.phase <= requested
	case Running, Paused:
		ok = e.phase == notEnding
	case Ending:
		ok = e.phase >= signaled && e.phase <= sweeping && (e.timer == nil) == e.killAt.IsZero()
	case Ended:
		ok = e.phase == done && st.record != nil || e.phase <= requested && st.start.failure != nil
	}
	if !ok {
		panic(fmt.Sprintf("session: phase %v while %v", e.phase, st.state))
	}
}

// End requests the end of the session: its stop signal is sent to the whole tree, and SIGKILL after
// grace; nil is the grace of the Spec. It does not wait for the end: see Done.
//
// The first cause counts. If the command has exited already, the cause is Exited, even if the
// supervisor has not noticed the exit yet, unless descendants keep the session running
// (Spec.WaitForTree). If the session is ending already, End can only shorten the grace.
func (s *Session) End(cause Cause, grace *time.Duration) { s.endWith(cause, grace, 0) }

// Cancel is End with the cause Canceled and a first signal; 0 is that of the Spec. If the session
// is ending already, the tree is sent that signal too, until the command has exited.
func (s *Session) Cancel(grace *time.Duration, signal syscall.Signal) {
	s.endWith(Canceled, grace, signal)
}

func (s *Session) endWith(cause Cause, grace *time.Duration, signal syscall.Signal) {
	hasExited := s.hasExited()
	s.update(func(st *sessionStatus) {
		most := s.spec.Grace
		if grace != nil {
			most = *grace
		}
		if signal != 0 && st.state != Ended {
			st.end.signal = signal
		}
		again := st.end.phase == signaled
		s.requestEnd(st, cause, most, hasExited)
		if again && signal != 0 && signal != syscall.SIGKILL {
			st.end.unsent = signal
		}
	})
}

// hasExited reports whether the session has ended by itself, even if the supervisor has not noticed
// yet: the command has exited, and no descendant keeps the session running. It may wait for a pause
// of the tree and read the process table, so it is called without the session's lock.
func (s *Session) hasExited() bool {
	s.mu.Lock()
	p, live := s.status.proc, s.status.state.Live()
	s.mu.Unlock()
	if !live || !p.Exited() {
		return false
	}
	if !s.spec.WaitForTree {
		return true
	}
	alive, err := p.Alive()
	return !alive && err == nil
}

// requestEnd is called in update. hasExited is the result of s.hasExited, which cannot be called
// with the lock held.
func (s *Session) requestEnd(st *sessionStatus, cause Cause, grace time.Duration, hasExited bool) {
	e := &st.end
	if s.firstSignal(e) == syscall.SIGKILL {
		grace = 0 // SIGKILL is sent, and reported, when the grace has passed
	}
	switch {
	case st.state == Ended: // too late
	case st.state == Ending: // requested again: the first cause counts, and the shorter grace
		e.skipDrain = e.skipDrain || e.phase > signaled
		s.shortenGrace(e, grace)
	case e.phase == requested: // again during the start
		e.grace = min(e.grace, grace)
	case st.state == Queued, st.state == Starting: // run calls signalEnd, if the command runs nevertheless
		e.cause, e.grace = cause, grace
		e.advance(requested)
		s.cancelStart(&st.start)
	case hasExited: // the supervisor is about to notice
		e.cause, e.grace, e.skipDrain = Exited, grace, true
		s.beginEnd(st, exited)
		s.shortenGrace(e, grace)
	default:
		e.cause, e.grace = cause, grace
		s.signalEnd(st)
	}
}

// firstSignal returns the signal that begins the end.
func (s *Session) firstSignal(e *ending) syscall.Signal {
	return cmp.Or(e.signal, s.spec.Program.StopSignal, syscall.SIGTERM)
}

// signalEnd begins the end of a session whose command has not exited. It is called in update, which
// sends the signal.
func (s *Session) signalEnd(st *sessionStatus) {
	e := &st.end
	s.beginEnd(st, signaled)
	if e.cause == Canceled {
		s.appendChange(st, "canceled")
	}
	if e.grace > 0 {
		e.unsent = s.firstSignal(e) // Session.update sends it
	}
	s.shortenGrace(e, e.grace)
}

// beginEnd moves a running session to the state Ending. From here on no deadline runs, and the
// session can no longer be controlled.
func (s *Session) beginEnd(st *sessionStatus, phase endPhase) {
	st.end.advance(phase)
	st.move(Ending)
	st.stopLinger()
	s.timeout.Stop()
	s.streamTimeout.Stop()
}

// shortenGrace sets the timer to grace from now, unless it fires sooner.
func (s *Session) shortenGrace(e *ending, grace time.Duration) {
	at := time.Now().Add(grace)
	switch {
	case e.timer == nil:
		e.killAt, e.timer = at, time.AfterFunc(grace, s.graceExpired)
	case !e.graceOver && at.Before(e.killAt) && e.timer.Stop():
		e.killAt = at
		e.timer.Reset(grace)
	}
}

// graceExpired runs when the grace has passed. It sends SIGKILL, unless the command has exited:
// then sweep sends it to what is left of the tree.
func (s *Session) graceExpired() {
	s.signaling.Lock()
	defer s.signaling.Unlock()
	var p tree
	s.update(func(st *sessionStatus) {
		e := &st.end
		if st.state != Ending || e.graceOver {
			return
		}
		e.graceOver = true
		if e.phase > signaled {
			e.skipDrain = true
			return
		}
		p = st.proc
		s.signals.Add(1)
	})
	if p == nil {
		return
	}
	defer s.signals.Done()
	killed := p.Kill() == nil
	s.update(func(st *sessionStatus) {
		st.end.escalated = st.end.escalated || killed
		st.end.timer = time.AfterFunc(process.KillWait, p.Abandon)
	})
}

// supervise prepares what happens when there is output and when the command exits. No goroutine
// waits for these.
func (s *Session) supervise(p *process.Process) {
	readers := s.readOutput(p)
	p.Adjust()
	p.OnExit(func(err error) {
		defer s.reg.wg.Done()
		s.afterExit(p, readers, err)
	})
}

// afterExit ends a session whose command has exited. It is the supervisor's goroutine.
func (s *Session) afterExit(p tree, readers *readers, err error) {
	took := s.timeSinceFork()
	s.turn.end()
	if err == nil && s.spec.WaitForTree {
		s.reportLeaderExit(p, readers)
		s.awaitTree(p)
	}
	cause := s.noteExit()
	s.drain(readers, cause)
	swept := s.sweep(p)
	s.log.Unblock()
	readers.finish()
	s.stdin.shut("the session has ended")
	exit, _ := p.Reap() // if the exit status cannot be read, exit.Known is false
	s.connections.close()
	s.complete(exit, swept, took)
	runtime.Gosched() // the record is sent before the descriptors are closed, which takes 20 µs
	p.Close()
}

func (s *Session) timeSinceFork() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.status.forked)
}

// reportLeaderExit appends a note if the command has exited and descendants keep the session
// running. The command's own output is ahead of it.
func (s *Session) reportLeaderExit(p tree, r *readers) {
	if alive, err := p.Alive(); !alive && err == nil {
		return
	}
	s.settle(r)
	exit := new(LeaderExit)
	exit.Code, exit.Signal, exit.Known = p.ExitStatus()
	s.update(func(st *sessionStatus) {
		if st.state.Live() {
			st.leaderExit = exit
			s.log.AppendNote(exit)
		}
	})
}

// settle waits until what the command has written is in the log, but at most for drainGrace, for a
// descendant may write all the time. Time in which a client blocks the log does not count.
func (s *Session) settle(r *readers) {
	if r.settled() {
		return
	}
	ctx, cancel := s.waitIn(func(*ending) {})
	defer cancel()
	over := make(chan struct{})
	limit := stream.NewDeadline(drainGrace, func() { close(over) })
	defer limit.Stop()
	s.blocked.add(limit)
	check := time.NewTicker(settleInterval)
	defer check.Stop()
	for !r.settled() {
		select {
		case <-check.C:
		case <-over:
			return
		case <-ctx.Done():
			return
		}
	}
}

// awaitTree waits until the tree has no living process or an end is requested.
func (s *Session) awaitTree(p tree) {
	ctx, cancel := s.waitIn(func(*ending) {})
	defer cancel()
	p.AwaitTree(ctx)
}

// waitIn calls enter, which may advance the phase, and returns a context for a wait of the
// supervisor in that phase. The context is done when mayWait is false: see interruptWait.
func (s *Session) waitIn(enter func(*ending)) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	s.update(func(st *sessionStatus) {
		enter(&st.end)
		st.end.interrupt = cancel
	})
	return ctx, cancel
}

// noteExit advances the phase to exited, and returns the cause of the end. After it has returned,
// no other goroutine sends a signal to the tree.
func (s *Session) noteExit() (cause Cause) {
	s.signaling.Lock() // a resume that led to the exit is in the log before it
	s.update(func(st *sessionStatus) {
		switch st.end.phase {
		case notEnding:
			st.end.cause = Exited
			s.beginEnd(st, exited)
		case signaled:
			st.end.advance(exited)
		}
		cause = st.end.cause
	})
	s.signaling.Unlock()
	// Some updates may have released the lock, and not have locked signaling yet.
	s.signals.Wait()
	return cause
}

// drain waits until all output has been read, at most drainGrace. If the command has exited by
// itself, time in which a client blocks the log does not count, until an end is requested.
func (s *Session) drain(r *readers, cause Cause) {
	select {
	case <-r.done: // usually, and then no timer is needed
		return
	default:
	}
	ctx, cancel := s.waitIn(func(e *ending) { e.advance(draining) })
	defer cancel()
	over := make(chan struct{})
	limit := stream.NewDeadline(drainGrace, func() { close(over) })
	defer limit.Stop()
	if cause == Exited {
		s.blocked.add(limit)
	}
	select {
	case <-r.done:
	case <-over:
	case <-ctx.Done():
	}
}

// sweep ends the rest of the tree within what is left of the grace.
func (s *Session) sweep(p tree) process.SweepResult {
	var grace time.Duration
	ctx, cancel := s.waitIn(func(e *ending) {
		e.advance(sweeping)
		switch {
		case e.timer != nil:
			grace = time.Until(e.killAt)
		case s.firstSignal(e) != syscall.SIGKILL:
			grace = e.grace
		}
	})
	defer cancel()
	return p.Sweep(ctx, grace)
}

// complete releases the slot and makes the record, which is the last event of the log.
func (s *Session) complete(exit process.Exit, swept process.SweepResult, took time.Duration) {
	s.reg.reportSurvivors(s, &swept)
	rec := s.newRecord(exit, swept, took)
	s.completeSpooled(rec) // before anybody is told
	s.reg.retain(s)        // before the record, so that a client that has it finds the slot free
	s.update(func(st *sessionStatus) {
		e := &st.end
		s.log.AppendEvent(func(seq int64, counts stream.Counts) any {
			rec.Seq, rec.Counts = seq, counts
			return rec
		})
		st.record = rec
		e.advance(done)
		st.move(Ended)
	})
	close(s.done) // wakes those that wait for Done: requests for the record, and shutdowns
	s.reportEnded()
}

// newRecord returns the record without its position in the log and the counts.
func (s *Session) newRecord(exit process.Exit, swept process.SweepResult, took time.Duration) (rec *Record) {
	s.update(func(st *sessionStatus) {
		e := &st.end
		if e.timer != nil {
			e.timer.Stop()
		}
		rec = &Record{
			Cause:         e.cause,
			Exit:          exit,
			Escalated:     e.escalated || swept.Escalated,
			Survivors:     swept.Survivors,
			Unverified:    swept.Unverified,
			PID:           st.proc.PID(),
			PGID:          st.proc.PGID(),
			ExecutionTime: took,
			Sandbox:       st.proc.Sandbox(),
			Denied:        s.connections.denied(),
		}
	})
	return rec
}

func (s *Session) reportEnded() {
	if f := s.reg.o.OnEnded; f != nil {
		f(s)
	}
}
