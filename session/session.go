package session

import (
	"cmp"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/stream"
)

// Spec says what a session runs and how. All of it is resolved: no field has a default left.
type Spec struct {
	ID     string
	Owner  string // the principal that it belongs to
	Params string // what the execute said, so that a repeated one can be told from another
	Labels map[string]string
	// Command and Encoding are the client's words, kept for who serves it; Program is what runs.
	Command  any
	Encoding string
	Program  process.Spec
	Weight   int64 // about how many bytes Command and Labels take

	Timeout       time.Duration // longest running time, pauses excluded; 0 is none
	StreamTimeout time.Duration // longest silence; 0 is none
	Grace         time.Duration // between the stop signal and SIGKILL
	Keep          bool          // it runs on when its last attached connection drops
	Linger        time.Duration // longest time with nobody attached, reading or waiting; 0 is any
	Output        stream.ReaderOptions
	WaitForTree   bool // descendants may outlive the command
	// Capture is how many of the newest bytes of each stream are kept for certain.
	Capture int64
	// CaptureHead is how many of the oldest bytes of each stream are kept.
	CaptureHead int64
}

// Session is one command, its process tree and its event log. All methods may be called concurrently.
type Session struct {
	spec    Spec
	reg     *Registry
	created int64 // set by the registry's index
	log     *stream.Log
	stdin   stdin

	// signaling is held by who signals the tree, and is taken before mu, which nobody holds meanwhile: to signal
	// takes as long as to find who is in the tree, and a pause waits for it to stand still.
	signaling sync.Mutex
	signals   sync.WaitGroup // signals that the state allowed and that are being sent

	mu     sync.Mutex
	status status

	ready  chan struct{} // closed when the process runs or failed to start
	ending chan struct{} // closed when the end began
	done   chan struct{} // closed when the record is there

	// The deadlines are set before ready is closed and not changed after.
	timeout *stream.Deadline
	silence *stream.Deadline
	pace    pace
}

func newSession(r *Registry, spec Spec) *Session {
	s := &Session{
		spec:   spec,
		reg:    r,
		ready:  make(chan struct{}),
		ending: make(chan struct{}),
		done:   make(chan struct{}),
	}
	s.log = stream.NewLog(stream.LogOptions{Bound: r.o.ReplayBytes, Keep: spec.Capture, KeepHead: spec.CaptureHead, Budget: r.budget, OnBlocked: s.pace.blocked})
	s.status.grace = spec.Grace
	return s
}

// update is the one way to change a session's state. It holds the session's lock: f may append to the log, and must
// not block nor send signals. It asks the tree to end where f began the end.
func (s *Session) update(f func(*status)) {
	if p, by := s.change(f); p != nil {
		s.signaling.Lock()
		defer s.signaling.Unlock()
		defer s.signals.Done()
		_ = p.TerminateBy(by)
	}
}

// change is the part of update under the lock. It returns the process that has to be asked to end, and by what.
func (s *Session) change(f func(*status)) (ask *process.Process, by syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.status)
	s.status.check()
	if by = s.status.ask; by != 0 {
		s.status.ask = 0
		s.signals.Add(1)
		ask = s.status.proc
	}
	return ask, by
}

// control runs f, which signals the tree, for a session that runs. Until it returns, nobody else signals the tree and
// nothing of it is swept or reaped. The error is f's, or a *StateError.
func (s *Session) control(f func(p *process.Process, state State) error) error {
	s.signaling.Lock()
	defer s.signaling.Unlock()
	var p *process.Process
	var state State
	s.update(func(st *status) {
		if state = st.state; state.Live() {
			p = st.proc
			s.signals.Add(1)
		}
	})
	if p == nil {
		return &StateError{state}
	}
	defer s.signals.Done()
	return f(p, state)
}

// ID is the session's UUID.
func (s *Session) ID() string { return s.spec.ID }

// Spec is what the session was made from; it must not be changed.
func (s *Session) Spec() *Spec { return &s.spec }

// Created is when the session was made, in nanoseconds since 1970: a number that grows from each session of a registry
// to the next, and that no two have.
func (s *Session) Created() int64 { return s.created }

// wasStarted reports whether there is anything to tell of the session.
func (s *Session) wasStarted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.status.started.IsZero()
}

// Log is the session's event log.
func (s *Session) Log() *stream.Log { return s.log }

// Cursor reads the session's log without an attachment.
func (s *Session) Cursor(o stream.CursorOptions) *stream.Cursor { return s.log.NewCursor(o) }

// Capture is the oldest and the newest output of each stream, as [stream.Log.Capture] gives it.
func (s *Session) Capture(oldest, newest int64) stream.Capture { return s.log.Capture(oldest, newest) }

// Done is closed when the session has ended and Record is there.
func (s *Session) Done() <-chan struct{} { return s.done }

// Ready is closed when the process runs, or failed to start.
func (s *Session) Ready() <-chan struct{} { return s.ready }

// Record is the completion record, nil until the session has ended.
func (s *Session) Record() *Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status.record
}

// View is a session at one moment.
type View struct {
	State       State
	PID, PGID   int
	Containment process.Containment
	Limits      []process.Held // and by what each is held
	Started     time.Time      // when the start began; zero before
	StdinBytes  int64
	Counts      stream.Counts
	Oldest      int64 // the place where what the log keeps begins
	Last        int64 // the end of the log
	Left        *Left // the command itself has exited, and its tree goes on or has ended since
	Record      *Record
	Failure     error // why it did not start; it is forgotten when nothing of the start is left, and Starting until then
}

// View returns the session as it is now.
func (s *Session) View() View {
	s.mu.Lock()
	v := View{State: s.status.state, Started: s.status.started, Record: s.status.record, Failure: s.status.failure, Left: s.status.left}
	if v.Failure != nil && !s.status.startOver { // it holds its slot
		v.State = Starting
	}
	if p := s.status.proc; p != nil {
		v.PID, v.PGID, v.Containment, v.Limits = p.PID(), p.PGID(), p.Containment(), p.Held()
	} else {
		v.Containment = s.reg.o.Host.Containment()
	}
	s.mu.Unlock()
	v.StdinBytes = s.stdin.accepted()
	v.Counts = s.log.Counts()
	v.Oldest, v.Last = s.log.Bounds()
	return v
}

// event puts a change of state into the log.
func (s *Session) event(st *status, what string) {
	s.log.AppendEvent(func(int64, stream.Counts) any { return st.change(what) })
}

// Pause stops the whole tree and its deadlines. Pausing a paused session does nothing. The error is a
// *StateError when it does not run.
func (s *Session) Pause() error {
	return s.control(func(p *process.Process, state State) error {
		if state == Paused {
			return nil
		}
		if err := p.Pause(); err != nil {
			return err
		}
		return s.follow(Running, Paused, func(st *status) {
			s.timeout.Hold()
			s.silence.Hold()
			s.event(st, "paused")
		})
	})
}

// Resume lets a paused session go on; for one that runs it does nothing. The error is a *StateError when it
// is neither.
func (s *Session) Resume() error {
	return s.control(func(p *process.Process, state State) error {
		if state == Running {
			return nil
		}
		release := s.log.Hold() // what the tree writes from now on lies behind the event
		defer release()
		if err := p.Resume(); err != nil {
			return err
		}
		return s.follow(Paused, Running, func(st *status) {
			s.event(st, "resumed")
			s.timeout.Release()
			s.silence.Release()
		})
	})
}

// follow notes what a signal made of the session, unless it began to end meanwhile.
func (s *Session) follow(from, to State, note func(*status)) (err error) {
	s.update(func(st *status) {
		if st.state != from {
			err = &StateError{st.state}
			return
		}
		st.move(to)
		note(st)
	})
	return err
}

// Signal sends sig to the whole tree, and lists the processes that may not be signalled, where others were. Errors: a
// *StateError when the session does not run, a *process.NotPermittedError where nobody may be signalled.
func (s *Session) Signal(sig syscall.Signal) (missed []int, err error) {
	err = s.control(func(p *process.Process, _ State) (err error) {
		missed, err = p.Deliver(sig)
		return err
	})
	return missed, err
}

// SignalLeader sends sig to the command alone. Errors: those of Signal, and ErrLeft when it has exited.
func (s *Session) SignalLeader(sig syscall.Signal) error {
	err := s.control(func(p *process.Process, _ State) error { return p.SignalLeader(sig) })
	if errors.Is(err, os.ErrProcessDone) {
		return ErrLeft
	}
	return err
}

// Resize sets the size of the session's terminal in characters, 1 to 65535 each; a paused one learns of it
// when it goes on. Errors: process.ErrNoTerminal, and a *StateError when the session does not run.
func (s *Session) Resize(rows, cols int) (err error) {
	s.update(func(st *status) {
		switch {
		case s.spec.Program.Terminal == nil:
			err = process.ErrNoTerminal
		case !st.state.Live():
			err = &StateError{st.state}
		default:
			err = st.proc.Resize(rows, cols)
		}
	})
	return err
}

// End begins to end the session for cause: its stop signal to the whole tree, SIGKILL after grace, which is the
// session's own where nil. The first cause counts: that of a command that has exited already is its exit, also where nobody
// noticed yet, unless its descendants keep the session running (WaitForTree). If the session is ending already, only a grace
// that passes sooner has an effect. It does not wait: see Done.
func (s *Session) End(cause Cause, grace *time.Duration) { s.endBy(cause, grace, 0) }

// Cancel is End with the cause Canceled, and with another first signal than the session's own; 0 is the
// session's own. A session that is ending already is sent the signal too.
func (s *Session) Cancel(grace *time.Duration, by syscall.Signal) { s.endBy(Canceled, grace, by) }

func (s *Session) endBy(cause Cause, grace *time.Duration, by syscall.Signal) {
	over := s.isOver()
	s.update(func(st *status) {
		most := s.spec.Grace
		if grace != nil {
			most = *grace
		}
		if by != 0 && st.state != Ended {
			st.stop = by
		}
		asked := st.state == Ending
		s.end(st, cause, most, over)
		if asked && by != 0 && by != syscall.SIGKILL && !st.exited {
			st.ask = by
		}
	})
}

// stopSignal is the first signal of the end.
func (s *Session) stopSignal(st *status) syscall.Signal {
	return cmp.Or(st.stop, s.spec.Program.StopSignal, syscall.SIGTERM)
}

// end is with the session's lock. Over says that isOver was true before the lock was taken.
func (s *Session) end(st *status, cause Cause, grace time.Duration, over bool) {
	if s.stopSignal(st) == syscall.SIGKILL {
		grace = 0 // which sends it, and says so
	}
	switch {
	case st.state == Ended:
	case st.state == Ending:
		if st.exited {
			st.hurry()
		}
		s.killAfter(st, grace)
	case st.wanted: // it is starting
		st.grace = min(st.grace, grace)
	default:
		st.wanted, st.cause, st.grace = true, cause, grace
		switch {
		case st.state == Starting:
			if l := st.launch; l != nil && !l.claimed {
				s.cancelStart(l)
			}
		case over:
			st.cause = Exited
			s.beginEnd(st)
			st.hurry()
			s.killAfter(st, grace)
		default:
			s.signalEnd(st)
		}
	}
}

// isOver says whether the session has ended by itself, which the supervisor has not noticed yet: the command has exited, as
// anyone can see, and nobody else keeps the session running. It may wait for a pause of the tree and read the process
// table, so it is called without the session's lock.
func (s *Session) isOver() bool {
	s.mu.Lock()
	p, live := s.status.proc, s.status.state.Live()
	s.mu.Unlock()
	if !live || !p.Exited() {
		return false
	}
	if !s.spec.WaitForTree {
		return true
	}
	some, err := p.Alive()
	return !some && err == nil
}

// signalEnd sees that the tree is signalled. The supervisor does the rest when the command has exited.
func (s *Session) signalEnd(st *status) {
	s.beginEnd(st)
	if st.cause == Canceled {
		s.event(st, "canceled")
	}
	if st.grace > 0 {
		st.ask = s.stopSignal(st)
	}
	s.killAfter(st, st.grace)
}

// beginEnd is the step that every end begins with: from here on no deadline counts and nothing is controlled.
func (s *Session) beginEnd(st *status) {
	st.move(Ending)
	st.stopLinger()
	if st.awaiting != nil {
		st.awaiting()
	}
	s.timeout.Stop()
	s.silence.Stop()
	close(s.ending)
}

// killAfter sees that nobody is waited for any more when grace has passed, or sooner if that was settled.
func (s *Session) killAfter(st *status, grace time.Duration) {
	due := time.Now().Add(grace)
	switch {
	case st.killer == nil:
		st.due, st.killer = due, time.AfterFunc(grace, s.kill)
	case !st.killed && due.Before(st.due) && st.killer.Stop():
		st.due = due
		st.killer.Reset(grace)
	}
}

// kill runs when grace has passed. Once the command has exited, the sweep does the killing, which knows whom.
func (s *Session) kill() {
	s.signaling.Lock()
	defer s.signaling.Unlock()
	var p *process.Process
	s.update(func(st *status) {
		if st.state != Ending || st.killed {
			return
		}
		st.killed = true
		if st.exited || st.cause == Exited {
			st.cutShort()
			return
		}
		p = st.proc
		s.signals.Add(1)
	})
	if p == nil {
		return
	}
	defer s.signals.Done()
	sent := p.Kill() == nil
	s.update(func(st *status) {
		st.escalated = st.escalated || sent
		st.killer = time.AfterFunc(killWait, p.Abandon)
	})
}

// pace holds deadlines while a client holds up the process.
type pace struct {
	mu   sync.Mutex
	held bool
	all  []*stream.Deadline
}

// add puts a deadline under the pace.
func (p *pace) add(d *stream.Deadline) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, d)
	if p.held {
		d.Hold()
	}
}

// blocked is told by the log when an append begins and ceases to wait.
func (p *pace) blocked(held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = held
	for _, d := range p.all {
		if held {
			d.Hold()
		} else {
			d.Release()
		}
	}
}
