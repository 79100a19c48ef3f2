package spool

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/runnel-rpc/runnel/session/spool/journal"
	"github.com/runnel-rpc/runnel/session/spool/window"
	"github.com/runnel-rpc/runnel/stream"
)

var (
	// ErrStalled means that the disk has made no progress for stallAfter.
	ErrStalled = errors.New("the disk does not respond")
	// ErrRemoved means that the session was removed from the spool.
	ErrRemoved = errors.New("removed from the spool")
)

// MaxEvent is how many bytes an encoded event may have.
const MaxEvent = 4 << 10

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
	// Encode and Decode convert events of the log, to at most MaxEvent bytes. Encode is called by other
	// goroutines.
	Encode func(event any) ([]byte, error)
	Decode func([]byte) (any, error)
	// Stopped is called once if saving ends before the session, without locks.
	Stopped func(why error)
}

// Session is a session that this server runs, in the spool. Its methods may be called concurrently.
type Session struct {
	output

	pending [2]tasks    // by worker.slot; protected by the worker's lock
	begun   atomic.Bool // Begin was called; set with the lock
	later   atomic.Bool // a timer of storeLater runs

	state     sync.Mutex    // protects what follows; no other lock is taken while it is held
	start     Start         // does not change after Begin, nor does saver
	saver     *stream.Saver // nil if the output is not saved
	stopped   error         // why saving has ended, nil before
	unwritten bool          // the start could not be written: there is no record either
	meta      []byte        // of the record; nil before Complete
	blob      []byte        // the output in the record, while it is written
	closed    bool          // Complete or Discard has ended
	discarded bool          // by Discard
	recorded  bool          // the record is written
	started   chan struct{} // closed when the start is written, or saving has ended before
	completed chan struct{} // closed when Complete need not wait longer for the record

	// Of the writer.
	part    *window.Part
	startAt journal.Position // zero before the start is written
	inGroup bool             // the record is about to be written
	inFile  bool             // the storer stores the output
}

// SaveOptions returns the options of the session's log.
func (s *Session) SaveOptions() *stream.SaveOptions {
	return &stream.SaveOptions{Wake: s.wake, Source: s}
}

// wake is called with the log's lock held.
func (s *Session) wake() {
	if s.begun.Load() && !s.spool.writer.add(s, taskSave) { // before, Begin does this
		go s.Stop(ErrStalled) // needs the log's lock; rare
	}
}

// Begin writes the start of the session to the journal, and saves its output from then on. saver is
// that of its log. It does not wait: see Written. After Discard it has no effect.
func (s *Session) Begin(start Start, saver *stream.Saver) {
	s.state.Lock()
	closed := s.closed
	if !closed {
		s.start, s.decode = start, start.Decode
		if start.Output {
			s.saver = saver
		}
		s.begun.Store(true)
	}
	s.state.Unlock()
	if saver != nil && (closed || !start.Output) {
		saver.Stop()
	}
	if !closed && !s.spool.writer.add(s, taskStart|taskSave) {
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

// Stop ends the saving of output, and reports whether it had not ended before. What was saved is kept.
func (s *Session) Stop(why error) (first bool) {
	s.state.Lock()
	first = s.stopped == nil && !s.closed
	if first {
		s.stopped = why
	}
	saver, told := s.saver, s.start.Stopped
	s.state.Unlock()
	if !first || saver == nil {
		return first
	}
	saver.Stop()
	if told != nil {
		told(why)
	}
	return true
}

// abandon is Stop for a session whose start is not written. It tells nobody: the session begins without
// the spool.
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
	saver := s.saver
	s.state.Unlock()
	if done {
		return
	}
	if saver != nil {
		saver.Stop()
	}
	s.spool.forgetEntry(s.entry)
}

// stalled is called when a worker that the session waits for is stalled. A session that has ended waits
// for its record only if the writer can write it now.
func (s *Session) stalled() {
	s.spool.warn(ErrStalled, "sessions go on without the spool")
	s.abandon(ErrStalled)
	s.Stop(ErrStalled)
	s.state.Lock()
	ending := s.meta != nil && !s.recorded && !s.unwritten
	s.state.Unlock()
	if ending && !s.spool.writer.add(s, taskRecord) {
		s.goOn()
	}
}

// goOn makes Complete return.
func (s *Session) goOn() {
	s.state.Lock()
	defer s.state.Unlock()
	if !isClosed(s.completed) {
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
// output. It returns when that is done, or the disk does not respond; then the record, without the rest
// of the output, is written when it responds again. The saver is stopped.
func (s *Session) Complete(meta []byte) {
	s.state.Lock()
	s.meta = meta
	unwritten := s.unwritten
	s.state.Unlock()
	switch {
	case unwritten:
	case s.spool.writer.add(s, taskFinish):
		<-s.completed
	default:
		s.Stop(ErrStalled)
		s.spool.writer.add(s, taskRecord)
	}
	s.end()
}

// Discard removes a session whose command did not run.
func (s *Session) Discard() {
	s.state.Lock()
	begun := s.begun.Load()
	s.discarded = true
	if !begun && !isClosed(s.started) {
		s.unwritten, s.stopped = true, ErrRemoved
		close(s.started)
	}
	s.state.Unlock()
	s.end()
	s.spool.forgetEntry(s.entry)
	if begun {
		s.spool.writer.add(s, taskRemove)
	}
}

// end ends the use of the session by this server. If its record is still to be written, it stays open
// until then.
func (s *Session) end() {
	s.state.Lock()
	s.closed = true
	saver, done := s.saver, s.recorded || s.unwritten || s.discarded
	s.state.Unlock()
	if saver != nil {
		saver.Stop()
	}
	s.closeFile()
	if done {
		s.spool.closeEntry(s.entry)
	}
}

// isUnrecorded reports whether the record of a session that has ended is not written.
func (s *Session) isUnrecorded() bool {
	s.state.Lock()
	defer s.state.Unlock()
	return s.closed && !s.recorded && !s.unwritten && !s.discarded
}

// isAbandoned reports whether nothing of the session is to be kept.
func (s *Session) isAbandoned() bool {
	s.state.Lock()
	defer s.state.Unlock()
	return s.unwritten || s.discarded
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
