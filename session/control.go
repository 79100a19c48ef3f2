package session

import (
	"errors"
	"os"
	"syscall"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/stream"
)

// control runs f, which sends signals to the tree, if the session is live. Until f returns, no
// other goroutine sends the tree a signal, and the supervisor neither sweeps nor reaps. The error
// is that of f, or a *StateError.
func (s *Session) control(f func(p tree, state State) error) error {
	s.signaling.Lock()
	defer s.signaling.Unlock()
	var p tree
	var state State
	s.update(func(st *sessionStatus) {
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

// Pause stops the whole tree and its deadlines. If the session is paused already, it has no effect.
// The error is a *StateError if the session is not live.
func (s *Session) Pause() error {
	return s.control(func(p tree, state State) error {
		if state == Paused {
			return nil
		}
		if err := p.Pause(); err != nil {
			return err
		}
		return s.moveFrom(Running, Paused, func(st *sessionStatus) {
			s.timeout.Pause()
			s.streamTimeout.Pause()
			s.appendChange(st, "paused")
		})
	})
}

// Resume continues a paused session. If the session is running, it has no effect. The error is a
// *StateError if the session is not live.
func (s *Session) Resume() error {
	return s.control(func(p tree, state State) error {
		if state == Running {
			return nil
		}
		release := s.log.DelayOutput() // what the tree writes from now on follows the event in the log
		defer release()
		if err := p.Resume(); err != nil {
			return err
		}
		return s.moveFrom(Paused, Running, func(st *sessionStatus) {
			s.appendChange(st, "resumed")
			s.timeout.Resume()
			s.streamTimeout.Resume()
		})
	})
}

// moveFrom changes the state after a signal and calls f in the same update. The error is a
// *StateError if the session has begun to end meanwhile.
func (s *Session) moveFrom(from, to State, f func(*sessionStatus)) (err error) {
	s.update(func(st *sessionStatus) {
		if st.state != from {
			err = &StateError{st.state}
			return
		}
		st.move(to)
		f(st)
	})
	return err
}

// appendChange appends the event of a change of state to the log.
func (s *Session) appendChange(st *sessionStatus, what string) {
	s.log.AppendEvent(func(int64, stream.Counts) any {
		return Change{Status: what, PID: st.proc.PID(), PGID: st.proc.PGID()}
	})
}

// Signal sends sig to the whole tree. If it may be sent to some processes only, missed lists the
// others. Errors: a *StateError if the session is not live, a *process.NotPermittedError if it may
// be sent to none. SIGCONT is a *StateError if the session is paused: Resume continues the deadlines
// too.
func (s *Session) Signal(sig syscall.Signal) (missed []int, err error) {
	err = s.send(sig, func(p tree) (err error) {
		missed, err = p.Deliver(sig)
		return err
	})
	return missed, err
}

// SignalLeader sends sig to the command only. Errors: those of Signal, and ErrLeaderExited if the
// command has exited.
func (s *Session) SignalLeader(sig syscall.Signal) error {
	err := s.send(sig, func(p tree) error { return p.SignalLeader(sig) })
	if errors.Is(err, os.ErrProcessDone) {
		return ErrLeaderExited
	}
	return err
}

// send calls f, which sends sig, unless sig would continue a paused tree behind the state of the
// session.
func (s *Session) send(sig syscall.Signal, f func(p tree) error) error {
	return s.control(func(p tree, state State) error {
		if state == Paused && sig == syscall.SIGCONT {
			return &StateError{state}
		}
		return f(p)
	})
}

// Resize sets the size of the session's terminal in characters, each from 1 to 65535. The kernel
// sends SIGWINCH, which a paused tree receives when it is resumed. Errors: process.ErrNoTerminal,
// and a *StateError if the session is not live.
func (s *Session) Resize(rows, cols int) (err error) {
	s.update(func(st *sessionStatus) {
		switch {
		case s.spec.Program.Terminal == nil:
			err = process.ErrNoTerminal
		case !st.state.Live():
			err = &StateError{st.state}
		default:
			if err = st.proc.Resize(rows, cols); err == nil {
				s.addSize(st, rows, cols)
			}
		}
	})
	return err
}
