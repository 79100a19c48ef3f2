package session

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/runnel-rpc/runnel/session/spool"
	"github.com/runnel-rpc/runnel/stream"
)

// Session is a command, its process tree and its event log. All methods may be called concurrently.
type Session struct {
	spec    Spec
	reg     *Registry
	created int64
	byTurns bool  // its start waits for the owner's turn
	turn    *turn // nil before that, and without turns
	waits   bool  // it was made without a slot
	// place is the session's place in the queue, nil from when it has a slot. The registry's lock
	// protects it.
	place *place
	kept  *retained     // nil until the session is retained; the registry's lock protects it
	named *list.Element // in a list of owner.names; nil without a name
	log   *stream.Log
	stdin stdin

	spooled   *spool.Session // nil without a spool
	unspooled atomic.Bool    // the clients know that the output is no longer kept
	restored  *restored      // nil unless the session was made of what the spool has of it

	connections *connections // nil unless the sandbox permits some destinations

	// signaling is held while signals are sent to the tree, which takes time: the processes of the
	// tree are listed, and a pause waits until they have stopped. mu is not held during that time.
	// Where both are locked, signaling is locked first.
	signaling sync.Mutex
	signals   sync.WaitGroup // signals that the state permitted and that are being sent

	mu     sync.Mutex
	status sessionStatus

	ready chan struct{} // closed by run or fail, see Ready
	done  chan struct{} // closed by complete or fail, see Done

	outputEnded chan struct{} // closed by the last reader, see OutputEnded

	// The deadlines are set before ready is closed and do not change.
	timeout       *stream.Deadline
	streamTimeout *stream.Deadline
	blocked       blockedDeadlines
}

// newSession returns a session whose log charges an account.
func newSession(r *Registry, spec Spec, account *stream.Account, created int64) *Session {
	s := &Session{
		spec:    spec,
		reg:     r,
		created: created,
		ready:   make(chan struct{}),
		done:    make(chan struct{}),

		outputEnded: make(chan struct{}),
	}
	s.spooled = s.newSpooled()
	s.log = stream.NewLog(stream.LogOptions{
		Bound:     r.o.ReplayBytes,
		Keep:      spec.Capture,
		KeepHead:  spec.CaptureHead,
		Account:   account,
		OnBlocked: s.blocked.set, // pauses deadlines; called with the log's lock held
		Save:      s.saveOptions(),
		Timeline:  true,
	})
	s.status.state, s.status.end.grace = Starting, spec.Grace
	s.connections = newConnections(s)
	return s
}

// update is the only way to change a session's status. f is called with Session.mu held; it may
// append to the log, and must not block or send signals. If f has set ending.unsent, update sends
// that signal to the tree after it has released mu, and returns when it is sent. A queued session whose
// end was requested leaves the queue.
func (s *Session) update(f func(*sessionStatus)) {
	p, signal, leaves := s.change(f)
	if leaves {
		s.leaveQueue(errEndRequested)
	}
	if p != nil {
		s.signaling.Lock()
		defer s.signaling.Unlock()
		defer s.signals.Done()
		_ = p.TerminateBy(signal)
	}
}

// change is the part of update with mu held. It returns the signal to send and the tree to send it
// to, or nil if there is no signal to send. leaves is set if the session is queued and its end was
// requested.
func (s *Session) change(f func(*sessionStatus)) (p tree, signal syscall.Signal, leaves bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &s.status
	f(st)
	st.check()
	st.end.interruptWait() // ends a wait of the supervisor that the new phase does not permit
	if signal = st.end.unsent; signal != 0 {
		st.end.unsent = 0
		s.signals.Add(1)
		p = st.proc
	}
	return p, signal, st.state == Queued && st.end.phase == requested
}

// ID returns the session's UUID.
func (s *Session) ID() string { return s.spec.ID }

// Spec returns what the session was made from. It must not be changed.
func (s *Session) Spec() *Spec { return &s.spec }

// Created returns when the session was made, in nanoseconds since 1970. It is different for each
// session of a registry, and larger for later ones.
func (s *Session) Created() int64 { return s.created }

// begun reports whether Begin was called.
func (s *Session) begun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status.start.called
}

// Waits reports whether the session was made without a slot, for which it waits, or has waited, in
// the queue.
func (s *Session) Waits() bool { return s.waits }

// Log returns the session's event log.
func (s *Session) Log() *stream.Log { return s.log }

// Cursor returns a cursor on the session's log. Unlike an attachment it does not keep the session
// alive.
func (s *Session) Cursor(o stream.CursorOptions) *stream.Cursor { return s.log.NewCursor(o) }

// Capture returns the oldest and the newest output of each stream: see [stream.Log.Capture]. It waits until
// the output is saved, and reads from the disk what memory does not have, both at most until ctx is done.
// Then it returns what memory has and is visible, with what is missing counted as omitted.
func (s *Session) Capture(ctx context.Context, oldest, newest int64) stream.Capture {
	c := s.log.Capture(oldest, newest)
	if saved := s.log.Settled(c.Seq); saved != nil {
		select {
		case <-saved:
		case <-ctx.Done():
			return stream.Capture{}
		}
	}
	if !c.Partial {
		return c
	}
	stored, err := s.log.CaptureStored(ctx, oldest, newest)
	if err != nil {
		return c
	}
	return stored
}

// Ready returns a channel that is closed when the command runs or the start has failed.
func (s *Session) Ready() <-chan struct{} { return s.ready }

// Done returns a channel that is closed when the session has ended and Record is set, or the start
// has failed.
func (s *Session) Done() <-chan struct{} { return s.done }

// OutputEnded returns a channel that is closed when the log has all output: no process has a pipe or
// the terminal open any more, or the session has ended. It is not closed if the command never ran, nor
// for a session that was restored from the disk.
func (s *Session) OutputEnded() <-chan struct{} { return s.outputEnded }

// Record returns the completion record. It is nil until the session has ended, and if the start has
// failed.
func (s *Session) Record() *Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status.record
}
