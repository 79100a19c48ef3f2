package spool

import (
	"errors"
	"sync"

	"github.com/runnel-rpc/runnel/session/spool/window"
	"github.com/runnel-rpc/runnel/stream"
)

var (
	// ErrStalled means that the disk has made no progress for stallAfter.
	ErrStalled = errors.New("the disk does not respond")
	// ErrRemoved means that the session was removed from the spool.
	ErrRemoved = errors.New("removed from the spool")
	// errClosed means that Close was called.
	errClosed = errors.New("the spool is closed")
)

// State says what the spool does for a session.
type State string

// The states.
const (
	StateSaving  State = "saving"  // the session runs, and all that it writes is saved
	StateKept    State = "kept"    // the session has ended, and what was saved is kept
	StateStopped State = "stopped" // saving has ended before the session: see Stop
)

// Start describes a session that begins.
type Start struct {
	Owner, ID, Name string
	// Output is whether the output is saved too.
	Output bool
	// Params returns what the hash of the params is made of. It is called by another goroutine.
	Params func() string
	// Meta returns what else is to be kept, as JSON. It is called by another goroutine.
	Meta func() ([]byte, error)
	// Encode and Decode convert events of the log. Encode is called by other goroutines.
	Encode func(event any) ([]byte, error)
	Decode func([]byte) (any, error)
	// Stopped is called once if saving ends before the session, without locks.
	Stopped func(why error)
}

// Session is a session that this server runs, in the spool. Its methods may be called concurrently.
type Session struct {
	output
	start Start
	saver *stream.Saver // nil if the output is not saved; does not change after Begin

	pending [2]tasks // by worker.slot; protected by the worker's lock

	state     sync.Mutex    // protects what follows; no other lock is taken while it is held
	stopped   error         // why saving has ended, nil before
	unwritten bool          // the start could not be written: there is no record either
	meta      []byte        // of the record, while it is written
	blob      []byte        // the output in the record, while it is written
	closed    bool          // Complete or Discard has returned
	started   chan struct{} // closed when the start is written, or saving has ended before
	completed chan struct{} // closed when the record is written, or could not be

	part *window.Part // belongs to the writer
}

// SaveOptions returns the options of the session's log.
func (s *Session) SaveOptions() *stream.SaveOptions {
	return &stream.SaveOptions{Wake: s.wake, Source: s}
}

// wake is called with the log's lock held.
func (s *Session) wake() {
	if !s.spool.writer.add(s, taskSave) {
		go s.Stop(ErrStalled) // needs the log's lock; rare
	}
}

// Begin writes the start of the session to the journal, and saves its output from then on. saver is
// that of its log. It does not wait: see Written.
func (s *Session) Begin(start Start, saver *stream.Saver) {
	s.start = start
	s.decode = start.Decode
	if start.Output {
		s.saver = saver
	} else if saver != nil {
		saver.Stop()
	}
	if !s.spool.writer.add(s, taskStart) {
		s.abandon(ErrStalled)
	}
}

// Written waits until the start is in the journal. An error means that it is not, and that nothing
// of the session will be kept; it may run nevertheless. It takes little more than stallAfter.
func (s *Session) Written() error {
	<-s.started
	s.state.Lock()
	defer s.state.Unlock()
	if s.unwritten {
		return s.stopped
	}
	return nil
}

// Stop ends the saving of output. What was saved is kept.
func (s *Session) Stop(why error) {
	s.state.Lock()
	first := s.stopped == nil && !s.closed
	if first {
		s.stopped = why
	}
	s.state.Unlock()
	if !first {
		return
	}
	if s.saver != nil {
		s.saver.Stop()
	}
	if f := s.start.Stopped; f != nil && s.saver != nil {
		f(why)
	}
}

// abandon is Stop for a session whose start is not written.
func (s *Session) abandon(why error) {
	s.state.Lock()
	done := isClosed(s.started)
	if !done {
		s.unwritten = true
		if s.stopped == nil {
			s.stopped = why
		}
		close(s.started)
	}
	s.state.Unlock()
	if done {
		return
	}
	if s.saver != nil {
		s.saver.Stop()
	}
	s.spool.forgetEntry(s.entry)
}

// stalled is called when a worker that the session waits for is stalled.
func (s *Session) stalled() {
	s.abandon(ErrStalled)
	s.Stop(ErrStalled)
	s.state.Lock()
	defer s.state.Unlock()
	if s.meta != nil && !isClosed(s.completed) {
		close(s.completed)
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Complete saves the rest of the output and writes the record, with meta as JSON. The log gets no more
// output. It returns when that is done, or the disk does not respond; the record may not be kept
// then. The saver is stopped.
func (s *Session) Complete(meta []byte) {
	s.state.Lock()
	s.meta = meta
	unwritten := s.unwritten
	s.state.Unlock()
	if !unwritten && s.spool.writer.add(s, taskFinish) {
		<-s.completed
	}
	s.end()
}

// Discard removes a session whose command did not run.
func (s *Session) Discard() {
	s.state.Lock()
	unwritten := s.unwritten
	begun := s.start.ID != ""
	s.state.Unlock()
	s.end()
	s.spool.forgetEntry(s.entry)
	if begun && !unwritten {
		s.spool.writer.add(s, taskRemove)
	}
}

// end ends the use of the session by this server.
func (s *Session) end() {
	s.state.Lock()
	s.closed, s.meta, s.blob = true, nil, nil
	s.state.Unlock()
	if s.saver != nil {
		s.saver.Stop()
	}
	s.spool.closeEntry(s.entry)
	if s.outputFile() != nil {
		s.spool.store(s, taskClose)
	}
}

// State returns what the spool does for the session, and how many bytes of the disk its output takes.
func (s *Session) State() (State, int64) {
	s.state.Lock()
	stopped, ended := s.stopped != nil, s.closed
	s.state.Unlock()
	s.spool.mu.Lock()
	bytes := s.entry.output + s.entry.blob
	s.spool.mu.Unlock()
	switch {
	case stopped:
		return StateStopped, bytes
	case ended:
		return StateKept, bytes
	}
	return StateSaving, bytes
}

// stoppedBy returns why saving has ended, or nil.
func (s *Session) stoppedBy() error {
	s.state.Lock()
	defer s.state.Unlock()
	return s.stopped
}
