package server

import (
	"fmt"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// phase is how far a connection is on the way to its end. It only advances.
type phase uint8

const (
	// phaseOpen: requests are read, replies and output are sent.
	phaseOpen phase = iota
	// phaseAnswering: the server shuts down. The close frame waits for pending replies.
	phaseAnswering
	// phaseFlushing: the close frame waits for the control queue and for the output of all
	// subscriptions.
	phaseFlushing
	// phaseClosing: the control queue ends with the close frame, after which nothing is sent (RFC
	// 6455 §5.5.1).
	phaseClosing
	// phaseClosed: nothing is written any more.
	phaseClosed
)

// state is what changes in a connection. Its lock is the only one of a connection's requests,
// replies and subscriptions. It may be taken under the lock of a log, so no method of a session or
// of a log is called while it is held.
type state struct {
	mu     sync.Mutex
	status connStatus
	wake   chan struct{} // holds a token if there may be something to write; outbox.await receives it
	room   sync.Cond     // the control queue is shorter, or the phase has advanced; for waitRoom
}

func newState() *state {
	s := &state{wake: make(chan struct{}, 1)}
	s.room.L = &s.mu
	s.status.phase = phaseOpen
	return s
}

// connStatus is the data of a state. Its methods need the lock.
type connStatus struct {
	phase      phase
	closeFrame []byte      // of a shutdown
	closing    *closeError // why the connection is closed, for the audit log

	identity access.Identity // of the newest credential; the principal does not change
	expiry   *time.Timer     // calls conn.checkExpiry; nil if the credential does not expire
	abort    *time.Timer     // of outbox.closeWithin, or nil

	inFlight   map[string]*request // by idKey
	requests   int                 // in flight, also those without a key
	paramBytes int64               // of their params
	pending    int                 // requests and batches whose replies are not in the control queue

	control      [][]byte // the control queue: frames that go ahead of output
	controlBytes int      // in them
	pong         []byte   // to the newest ping, the only one that needs an answer (RFC 6455 §5.5.3)
	batchBytes   int      // in replies of incomplete batches

	subscriptions map[string]*subscription // by conn.name
	ready         readyQueue               // subscriptions with output, scheduled round-robin

	wakeOutbox bool // update puts a token into state.wake
	signalRoom bool // update broadcasts state.room
}

// update is the one way to change the state. f runs under the lock and must not block. If f has set
// wakeOutbox or signalRoom, update then wakes outbox.await or waitRoom.
func (s *state) update(f func(*connStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.status)
	s.status.check()
	if s.status.wakeOutbox {
		s.status.wakeOutbox = false
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	if s.status.signalRoom {
		s.status.signalRoom = false
		s.room.Broadcast()
	}
}

// check panics if parts of the state contradict each other, so that a bug is found in the update
// that causes it. It takes constant time.
func (st *connStatus) check() {
	switch {
	case st.requests < len(st.inFlight) || st.pending < st.requests:
		panic(fmt.Sprintf("server: %d requests have an id, %d are in flight, %d are pending",
			len(st.inFlight), st.requests, st.pending))
	case st.paramBytes < 0 || st.requests == 0 && st.paramBytes != 0:
		panic(fmt.Sprintf("server: %d requests with %d bytes of params", st.requests, st.paramBytes))
	case st.controlBytes < 0 || (st.controlBytes == 0) != (len(st.control) == 0):
		panic(fmt.Sprintf("server: %d bytes in %d frames of the control queue", st.controlBytes, len(st.control)))
	case st.batchBytes < 0 || st.pending == 0 && st.batchBytes != 0:
		panic(fmt.Sprintf("server: %d bytes in batches", st.batchBytes))
	case len(st.subscriptions) > maxAttached:
		panic(fmt.Sprintf("server: %d subscriptions", len(st.subscriptions)))
	case (st.phase == phaseAnswering || st.phase == phaseFlushing) && st.closeFrame == nil:
		panic("server: a shutdown without a close frame")
	}
}

// advance moves to a later phase. If the phase is that late already, it does nothing.
func (st *connStatus) advance(p phase) {
	if p > st.phase {
		st.phase = p
		st.wakeOutbox, st.signalRoom = true, true
	}
}

// closeFor records why the connection is closed; the code is 0 without a close frame. The first
// reason counts.
func (st *connStatus) closeFor(code websocket.StatusCode, why string) {
	if st.closing == nil {
		st.closing = &closeError{code, why}
	}
}

// shutdown begins the end of the connection. closeFrame is sent when no reply is pending and no
// output is left.
func (st *connStatus) shutdown(closeFrame []byte) {
	st.closeFrame = closeFrame
	st.advance(phaseAnswering)
	st.flushIfAnswered()
}

// addPending counts a request or a batch whose reply a shutdown waits for.
func (st *connStatus) addPending() { st.pending++ }

// donePending ends what addPending began, once the reply is in the control queue.
func (st *connStatus) donePending() {
	st.pending--
	st.flushIfAnswered()
}

func (st *connStatus) flushIfAnswered() {
	if st.phase == phaseAnswering && st.pending == 0 {
		st.advance(phaseFlushing)
	}
}
