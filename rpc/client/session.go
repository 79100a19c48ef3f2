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

// Events are told what happens to a session, in order. A nil one is not told. They must not call the client and
// wait for it.
//
// With neither Window nor Readers they are called by the goroutine that reads the connection: while one is held
// up, so are all sessions, and in the end their processes. With a Window they are called by a goroutine of the
// session's own, and may take as long as they like.
type Events struct {
	Output func(*Output)
	Gap    func(rpc.Gap)
	// State is told of process.started, .paused, .resumed and .canceled.
	State func(rpc.StateEvent)
	// Exited is told, at most once, that the command itself has exited and the session continues.
	Exited func(rpc.Exited)
	// Raw is told of every notification as it came, besides. The text is valid until it returns.
	Raw func(message []byte)
	// Window is how many bytes of output may be under way, or wait here, unconsumed; then the server sends no
	// more of this session. It takes the place of the params' own.
	Window int64
	// Readers makes output available through Session.Reader, in place of Output.
	Readers bool
}

// DefaultWindow is the window of sessions that are read through readers, where they have none.
const DefaultWindow = 1 << 20

// Session is a command that this client follows. Its methods may be called concurrently.
type Session struct {
	c      *Client
	id     string
	result rpc.ExecuteResult
	events Events
	drop   bool
	feed   *feed // nil where events are told as they come

	stdin stdin

	mu       sync.Mutex
	seq      int64 // all up to here was taken from the connection
	came     bool  // something has; else seq is what was asked for, and may lie beyond the log's end
	exited   bool  // process.exited has come
	followed bool  // the server attached us
	missed   bool  // another connection was made before that was known
	on       *link // where it was attached to again; nil also for the first one
	once     sync.Once
	done     chan struct{}
	record   *rpc.Completion
	err      error
}

// Execute starts a session whose events are told to events. Params that wait are not for it: use Call. The
// session's id is chosen here if the params have none, so that no event is missed, and, where the client
// reconnects, no lost answer starts a second one. Where the context ends before the answer is there, what may have been
// started is canceled, unless the params chose the id: it may have been there before.
func (c *Client) Execute(ctx context.Context, p rpc.ExecuteParams, events Events) (*Session, error) {
	chosen := p.SessionID != ""
	if !chosen {
		p.SessionID = uuid.NewString()
	}
	s := newSession(c, p.SessionID, events, p.SlowClient)
	if s.feed != nil {
		p.Window = &s.events.Window
	}
	if err := s.begin(func() error { return c.CallAgain(ctx, rpc.MethodExecute, p, &s.result) }); err != nil {
		if l := c.alive(); l != nil && !chosen && ctx.Err() != nil {
			l.post(rpc.MethodCancel, rpc.CancelParams{SessionID: p.SessionID})
		}
		return nil, err
	}
	return s, nil
}

// Attach follows a session that is there already, behind p.AfterSeq.
func (c *Client) Attach(ctx context.Context, p rpc.AttachParams, events Events) (*Session, rpc.AttachResult, error) {
	var result rpc.AttachResult
	s := newSession(c, p.SessionID, events, p.SlowClient)
	s.seq = p.AfterSeq
	if s.feed != nil {
		p.Window = &s.events.Window
	}
	err := s.begin(func() error {
		err := c.CallAgain(ctx, rpc.MethodAttach, p, &result)
		if err == nil {
			s.endsAt(result.LastSeq)
		}
		return err
	})
	if err != nil {
		return nil, result, err
	}
	if result.State == "ended" && p.AfterSeq >= result.LastSeq { // there is nothing to follow
		rec, err := c.recordOf(ctx, s.id)
		c.forget(s)
		s.finish(rec, err)
	}
	return s, result, nil
}

func (c *Client) recordOf(ctx context.Context, id string) (*rpc.Completion, error) {
	var rec rpc.Completion
	err := c.CallAgain(ctx, rpc.MethodWait, rpc.WaitParams{SessionID: id}, &rec)
	return &rec, err
}

func newSession(c *Client, id string, events Events, slowClient string) *Session {
	s := &Session{c: c, id: asTold(id), events: events, drop: slowClient == rpc.SlowClientDrop, done: make(chan struct{})}
	if events.Readers && s.events.Window == 0 {
		s.events.Window = DefaultWindow
	}
	if s.events.Window > 0 {
		s.feed = newFeed(s)
	}
	if events.Raw != nil {
		c.raw.Store(true)
	}
	return s
}

// asTold is a session's id as the server writes it in events, however the caller spells it. What is no UUID is the
// server's to refuse.
func asTold(id string) string {
	if u, err := uuid.Parse(id); err == nil && len(id) == len(u.String()) {
		return u.String()
	}
	return id
}

// begin follows the session while the call that attaches the client to it is made.
func (s *Session) begin(call func() error) error {
	if err := s.c.follow(s); err != nil {
		return err
	}
	if s.feed != nil && !s.events.Readers {
		go s.feed.tell()
	}
	if err := call(); err != nil {
		s.c.forget(s)
		s.finish(nil, err)
		return err
	}
	s.mu.Lock()
	s.followed = true
	missed := s.missed
	s.mu.Unlock()
	for missed {
		l, err := s.c.current(s.c.over)
		if err != nil {
			return nil // and the session is told
		}
		missed = errors.Is(s.reattach(s.c.over, l), ErrClosed)
	}
	return nil
}

// ID is the session's id.
func (s *Session) ID() string { return s.id }

// Started is what the server answered to the execute.
func (s *Session) Started() rpc.ExecuteResult { return s.result }

// Done is closed when the session has ended, or there is no connection any more.
func (s *Session) Done() <-chan struct{} { return s.done }

// Wait waits for the completion record. All events have been told when it returns, but for what readers have
// not read yet.
func (s *Session) Wait(ctx context.Context) (*rpc.Completion, error) {
	select {
	case <-s.done:
		return s.record, s.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Seq is the place in the session's log up to which everything was taken from the connection.
func (s *Session) Seq() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seq
}

// Reader reads one stream, rpc.StreamStdout and so on, of a session with Readers. Streams may be read one after
// the other, as long as what waits of the others fits into the window. A loss is a *GapError, once, at its
// place; the end is io.EOF, or why the session can't be followed any more. It may be called more than once, and
// is one and the same reader.
func (s *Session) Reader(stream string) io.Reader { return s.feed.reader(stream) }

// Control pauses, resumes or cancels the session: rpc.ControlPause, and so on.
func (s *Session) Control(ctx context.Context, typ string) error {
	return s.c.CallAgain(ctx, rpc.MethodControl, rpc.ControlParams{SessionID: s.id, Type: typ}, nil)
}

// Signal sends a signal by its name, SIGINT, to the whole tree. It is sent once: on a drop it is ErrClosed.
func (s *Session) Signal(ctx context.Context, name string) error {
	p := rpc.ControlParams{SessionID: s.id, Type: rpc.ControlSignal, Signal: name}
	return s.c.Call(ctx, rpc.MethodControl, p, nil)
}

// Resize changes the size of the session's terminal.
func (s *Session) Resize(ctx context.Context, rows, cols int) error {
	p := rpc.ControlParams{SessionID: s.id, Type: rpc.ControlResize, Rows: rows, Cols: cols}
	return s.c.CallAgain(ctx, rpc.MethodControl, p, nil)
}

// Detach follows the session no more; it runs on. Wait returns ErrDetached.
func (s *Session) Detach(ctx context.Context) error {
	err := s.c.CallAgain(ctx, rpc.MethodDetach, rpc.SessionParams{SessionID: s.id}, nil)
	s.c.forget(s)
	s.finish(nil, ErrDetached)
	return err
}

// Suspend detaches from the session until Follow, before the client is stopped or asleep for a while: then the
// drop of its connection does not end the session.
func (s *Session) Suspend(ctx context.Context) error {
	l, err := s.c.current(ctx)
	if err != nil {
		return err
	}
	if err = l.call(ctx, rpc.MethodDetach, rpc.SessionParams{SessionID: s.id}, nil); err == nil {
		s.mu.Lock()
		s.on = nil
		s.mu.Unlock()
	}
	return err
}

// Follow attaches to a suspended session again, from where it stood. Where the client has had to reconnect, it
// is attached already.
func (s *Session) Follow(ctx context.Context) error {
	for {
		l, err := s.c.current(ctx)
		if err != nil {
			return err
		}
		s.mu.Lock()
		there := s.on == l
		s.mu.Unlock()
		if there {
			return nil
		}
		if err = s.reattach(ctx, l); s.c.o.Reconnect == nil || !errors.Is(err, ErrClosed) {
			return err
		}
	}
}

// advance takes the place of an event and reports whether it is new. The first one is: the server may have begun
// before the place that it was asked for.
func (s *Session) advance(seq int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.came && seq <= s.seq {
		return false
	}
	s.seq, s.came = seq, true
	return true
}

// firstExit reports whether a process.exited is new. It takes no place of its own, so an attach at its place brings it
// again.
func (s *Session) firstExit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.exited
	s.exited = true
	return first
}

// endsAt says where the log ended when it was attached to: what lies beyond means its end.
func (s *Session) endsAt(last int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.came {
		s.seq = min(s.seq, last)
	}
}

// output is called by the goroutine that reads.
func (s *Session) output(o *Output, raw []byte) {
	if !s.advance(o.Seq) {
		return
	}
	if s.feed != nil {
		s.feed.output(o, raw)
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
	if method == rpc.NotifyCompleted { // who learns of the end may attach again at once
		s.c.forget(s)
	}
	if s.feed != nil {
		s.feed.event(method, params, raw, seq)
	} else {
		s.tell(method, params, raw)
	}
}

// tell tells of an event that is no output. The completion record ends the session.
func (s *Session) tell(method string, params, raw []byte) {
	s.events.raw(raw)
	switch method {
	case rpc.NotifyCompleted:
		var rec rpc.Completion
		if err := json.Unmarshal(params, &rec); err != nil {
			s.finish(nil, fmt.Errorf("the completion record: %w", err))
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

// finish ends the session here.
func (s *Session) finish(rec *rpc.Completion, err error) {
	s.once.Do(func() {
		s.record, s.err = rec, err
		close(s.done)
	})
	if s.feed != nil {
		s.feed.end(err)
	}
}

// lost says why nothing more comes, short of the record. What has come is told first.
func (s *Session) lost(err error) {
	if s.feed != nil && !s.events.Readers {
		s.feed.end(err)
		return
	}
	s.finish(nil, err)
}

// place is how to attach on l from where the session stands.
func (s *Session) place(l *link) (p rpc.AttachParams, running bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
		return p, false
	default:
	}
	p = rpc.AttachParams{SessionID: s.id, AfterSeq: s.seq}
	if s.drop {
		p.SlowClient = rpc.SlowClientDrop
	}
	if s.feed != nil {
		p.Window = s.feed.reopen(l, s.seq)
	}
	s.missed = !s.followed
	return p, s.followed
}
