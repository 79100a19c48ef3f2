package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// Events are the functions that receive the events of a session, in order. A nil function receives
// nothing. They must not call a method of the client and wait for it. The zero value discards all
// events; Session.Wait returns the record.
//
// With neither Window nor Readers they are called by the goroutine that reads the connection: while
// one of them blocks, no session of the client receives anything, and eventually their processes
// block. With Window they are called by a goroutine of the session, and may block for any time.
type Events struct {
	Output func(*Output)
	// Gap reports lost output.
	Gap func(rpc.Gap)
	// State receives process.started, .paused, .resumed and .canceled.
	State func(rpc.StateEvent)
	// Exited reports, at most once, that the leader has exited while the session continues.
	Exited func(rpc.Exited)
	// Raw is called with each notification as received, in addition. The message is valid until Raw
	// returns.
	Raw func(message []byte)
	// Window is how many bytes of output may be in transit or in the session's queue; then the
	// server sends no more output of this session. It replaces the window of the params. 0 means no
	// window.
	Window int64
	// Readers provides the output through Session.Reader instead of Output. If Window is 0, it is
	// DefaultWindow.
	Readers bool
}

// DefaultWindow is the window, in bytes, of sessions with Readers whose Window is 0.
const DefaultWindow = 1 << 20

// Session is a session that the client is attached to. Its methods may be called concurrently.
type Session struct {
	c            *Client
	id           string
	result       rpc.ExecuteResult // zero after Attach
	events       Events
	dropWhenSlow bool          // slow_client is "drop"
	queue        *receiveQueue // nil if events are dispatched by the goroutine that reads

	stdin stdin

	mu           sync.Mutex
	seq          int64       // the last event that was received, or after_seq
	received     bool        // an event was received; until then seq may be beyond the end of the log
	exited       bool        // process.exited was received
	attached     bool        // the server has confirmed the execute or attach
	mustReattach bool        // a connection was made before that, without an attach to this session
	reattachedOn *connection // the connection of the last attach after a reconnect or Suspend; nil before
	once         sync.Once
	done         chan struct{}
	record       *rpc.Completion
	err          error
}

// Execute starts a session. Params with Wait are not supported: use Call. If the params have no
// session id, Execute chooses one: then it receives all events, and can send the request again
// after a reconnect without starting a second session. If the context ends before the reply, a
// session that may have been started is canceled, unless the params have an id, since a session of
// that id may have existed before.
func (c *Client) Execute(ctx context.Context, p rpc.ExecuteParams, events Events) (*Session, error) {
	hasID := p.SessionID != ""
	if !hasID {
		p.SessionID = uuid.NewString()
	}
	s := newSession(c, p.SessionID, events, p.SlowClient)
	if s.queue != nil {
		p.Window = &s.events.Window
	}
	if err := s.attach(func() error { return c.CallIdempotent(ctx, rpc.MethodExecute, p, &s.result) }); err != nil {
		if conn := c.currentConnection(); conn != nil && !hasID && ctx.Err() != nil {
			conn.post(rpc.MethodCancel, rpc.CancelParams{SessionID: p.SessionID})
		}
		return nil, err
	}
	return s, nil
}

// Attach attaches to a session, and delivers its events after p.AfterSeq.
func (c *Client) Attach(ctx context.Context, p rpc.AttachParams, events Events) (*Session, rpc.AttachResult, error) {
	var result rpc.AttachResult
	s := newSession(c, p.SessionID, events, p.SlowClient)
	s.seq = p.AfterSeq
	if s.queue != nil {
		p.Window = &s.events.Window
	}
	err := s.attach(func() error {
		err := c.CallIdempotent(ctx, rpc.MethodAttach, p, &result)
		if err == nil {
			s.limitSeq(result.LastSeq)
		}
		return err
	})
	if err != nil {
		return nil, result, err
	}
	if result.State == "ended" && p.AfterSeq >= result.LastSeq { // the server sends no event
		rec, err := c.completion(ctx, s.id)
		c.removeSession(s)
		s.finish(rec, err)
	}
	return s, result, nil
}

// completion returns the completion record of a session that has ended.
func (c *Client) completion(ctx context.Context, id string) (*rpc.Completion, error) {
	var rec rpc.Completion
	err := c.CallIdempotent(ctx, rpc.MethodWait, rpc.WaitParams{SessionID: id}, &rec)
	return &rec, err
}

func newSession(c *Client, id string, events Events, slowClient string) *Session {
	s := &Session{
		c:            c,
		id:           canonicalID(id),
		events:       events,
		dropWhenSlow: slowClient == rpc.SlowClientDrop,
		done:         make(chan struct{}),
	}
	if events.Readers && s.events.Window == 0 {
		s.events.Window = DefaultWindow
	}
	if s.events.Window > 0 {
		s.queue = newReceiveQueue(s)
	}
	if events.Raw != nil {
		c.wantRaw.Store(true)
	}
	return s
}

// canonicalID returns the form of a session id that the server uses in events, which is lower case.
// An id that is not a UUID is returned unchanged, and refused by the server.
func canonicalID(id string) string {
	if u, err := uuid.Parse(id); err == nil && len(id) == len(u.String()) {
		return u.String()
	}
	return id
}

// attach registers the session and makes the call that attaches the client to it.
func (s *Session) attach(call func() error) error {
	if err := s.c.addSession(s); err != nil {
		return err
	}
	if s.queue != nil && !s.events.Readers {
		go s.queue.dispatch()
	}
	if err := call(); err != nil {
		s.c.removeSession(s)
		s.finish(nil, err)
		return err
	}
	s.mu.Lock()
	s.attached = true
	again := s.mustReattach
	s.mu.Unlock()
	for again {
		conn, err := s.c.awaitConnection(s.c.ctx)
		if err != nil {
			return nil // the session has failed with the same error
		}
		again = errors.Is(s.attachOn(s.c.ctx, conn), ErrClosed)
	}
	return nil
}

// ID returns the session's id.
func (s *Session) ID() string { return s.id }

// Started returns the result of execute. It is zero if the session was attached to.
func (s *Session) Started() rpc.ExecuteResult { return s.result }

// Done is closed when the session has ended, or the client is not attached any more and will not be.
func (s *Session) Done() <-chan struct{} { return s.done }

// Wait waits for the completion record. When it returns, all events have been delivered, except
// output that was not read from readers.
func (s *Session) Wait(ctx context.Context) (*rpc.Completion, error) {
	select {
	case <-s.done:
		return s.record, s.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Seq returns the position in the session's log up to which all events were received.
func (s *Session) Seq() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seq
}

// Reader returns the reader of a stream (rpc.StreamStdout, rpc.StreamStderr or rpc.StreamPTY) of a
// session with Events.Readers. Calls with the same stream return the same reader. Streams may be
// read one after the other, as long as the unread data of the others fits into the window. Lost
// output is reported by a *GapError at its position; reading can go on after it. At the end Read
// returns io.EOF, or why the client is not attached any more. Reader panics if the session has no
// Events.Readers.
func (s *Session) Reader(stream string) io.Reader {
	if !s.events.Readers {
		panic("client: Reader of a session without Events.Readers")
	}
	return s.queue.reader(stream)
}

// Control pauses, resumes or cancels the session: typ is rpc.ControlPause, rpc.ControlResume or
// rpc.ControlCancel.
func (s *Session) Control(ctx context.Context, typ string) error {
	return s.c.CallIdempotent(ctx, rpc.MethodControl, rpc.ControlParams{SessionID: s.id, Type: typ}, nil)
}

// Signal sends a signal, by its name such as SIGINT, to the session's tree. The request is sent
// once: if the connection is lost, Signal returns ErrClosed, and the signal may have been sent.
func (s *Session) Signal(ctx context.Context, name string) error {
	p := rpc.ControlParams{SessionID: s.id, Type: rpc.ControlSignal, Signal: name}
	return s.c.Call(ctx, rpc.MethodControl, p, nil)
}

// Resize sets the size of the session's terminal.
func (s *Session) Resize(ctx context.Context, rows, cols int) error {
	p := rpc.ControlParams{SessionID: s.id, Type: rpc.ControlResize, Rows: rows, Cols: cols}
	return s.c.CallIdempotent(ctx, rpc.MethodControl, p, nil)
}

// Detach detaches from the session, which continues. Wait then returns ErrDetached.
func (s *Session) Detach(ctx context.Context) error {
	err := s.c.CallIdempotent(ctx, rpc.MethodDetach, rpc.SessionParams{SessionID: s.id}, nil)
	s.c.removeSession(s)
	s.finish(nil, ErrDetached)
	return err
}

// Suspend detaches from the session until Reattach. A client that is about to be stopped calls it:
// the session then does not end when the server closes the connection of a client that does not
// respond.
func (s *Session) Suspend(ctx context.Context) error {
	conn, err := s.c.awaitConnection(ctx)
	if err != nil {
		return err
	}
	if err = conn.call(ctx, rpc.MethodDetach, rpc.SessionParams{SessionID: s.id}, nil); err == nil {
		s.mu.Lock()
		s.reattachedOn = nil
		s.mu.Unlock()
	}
	return err
}

// Reattach attaches to a suspended session again, after the last event that was received. It does
// nothing if a reconnect has done so.
func (s *Session) Reattach(ctx context.Context) error {
	for {
		conn, err := s.c.awaitConnection(ctx)
		if err != nil {
			return err
		}
		s.mu.Lock()
		attached := s.reattachedOn == conn
		s.mu.Unlock()
		if attached {
			return nil
		}
		if err = s.attachOn(ctx, conn); s.c.o.Reconnect == nil || !errors.Is(err, ErrClosed) {
			return err
		}
	}
}

// advance records the position of an event and reports whether the event is new. The first one is
// always new: the server may begin before the position that was requested.
func (s *Session) advance(seq int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.received && seq <= s.seq {
		return false
	}
	s.seq, s.received = seq, true
	return true
}

// firstExit reports whether a process.exited is new. The event has the position of the event before
// it, so an attach after that position delivers it again.
func (s *Session) firstExit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.exited
	s.exited = true
	return first
}

// limitSeq sets the position to the end of the log at the time of the attach, if after_seq was
// beyond it.
func (s *Session) limitSeq(last int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.received {
		s.seq = min(s.seq, last)
	}
}

// output is called by the goroutine that reads.
func (s *Session) output(o *Output, raw []byte) {
	if !s.advance(o.Seq) {
		return
	}
	if s.queue != nil {
		s.queue.output(o, raw)
		return
	}
	s.events.raw(raw)
	if s.events.Output != nil {
		s.events.Output(o)
	}
}

// event is called by the goroutine that reads.
func (s *Session) event(method string, params, raw []byte, seq int64) {
	switch {
	case method == rpc.NotifyExited:
		if !s.firstExit() {
			return
		}
	case !s.advance(seq):
		return
	}
	if method == rpc.NotifyCompleted { // before Done is closed, since the caller may attach again at once
		s.c.removeSession(s)
	}
	if s.queue != nil {
		s.queue.event(method, params, raw, seq)
	} else {
		s.dispatch(method, params, raw)
	}
}

// dispatch delivers an event other than output. The completion record ends the session.
func (s *Session) dispatch(method string, params, raw []byte) {
	s.events.raw(raw)
	switch method {
	case rpc.NotifyCompleted:
		var rec rpc.Completion
		if err := json.Unmarshal(params, &rec); err != nil {
			s.finish(nil, fmt.Errorf("completion record: %w", err))
			return
		}
		s.finish(&rec, nil)
	case rpc.NotifyGap:
		var g rpc.Gap
		if s.events.Gap != nil && json.Unmarshal(params, &g) == nil {
			s.events.Gap(g)
		}
	case rpc.NotifyExited:
		var e rpc.Exited
		if s.events.Exited != nil && json.Unmarshal(params, &e) == nil {
			s.events.Exited(e)
		}
	default:
		var e rpc.StateEvent
		if s.events.State != nil && json.Unmarshal(params, &e) == nil {
			s.events.State(e)
		}
	}
}

func (e *Events) raw(message []byte) {
	if e.Raw != nil {
		e.Raw(message)
	}
}

// finish ends the session for this client, with its record or an error.
func (s *Session) finish(rec *rpc.Completion, err error) {
	s.once.Do(func() {
		s.record, s.err = rec, err
		close(s.done)
	})
	if s.queue != nil {
		s.queue.close(err)
	}
}

// fail ends the session without a record, after the events that were received.
func (s *Session) fail(err error) {
	if s.queue != nil && !s.events.Readers {
		s.queue.close(err)
		return
	}
	s.finish(nil, err)
}

// attachParams returns the params of an attach on conn after the last event that was received. Ok
// is false if the session has ended, or the call that attaches to it has not returned yet.
func (s *Session) attachParams(conn *connection) (p rpc.AttachParams, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
		return p, false
	default:
	}
	p = rpc.AttachParams{SessionID: s.id, AfterSeq: s.seq}
	if s.dropWhenSlow {
		p.SlowClient = rpc.SlowClientDrop
	}
	if s.queue != nil {
		p.Window = s.queue.startWindow(conn, s.seq)
	}
	s.mustReattach = !s.attached
	return p, s.attached
}
