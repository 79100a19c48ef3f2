package client

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/runnel-rpc/runnel/rpc"
)

// Session is a session that the client is attached to. Its methods may be called concurrently.
type Session struct {
	c            *Client
	id           string
	result       rpc.ExecuteResult // zero after Attach
	events       Events
	dropWhenSlow bool          // slow_client is "drop"
	queue        *receiveQueue // nil if events are dispatched by the goroutine that reads

	stdin  stdin
	writer func() string // see newWriter

	mu           sync.Mutex
	seq          int64       // the last event that was received, or after_seq
	received     bool        // an event was received; until then seq may be beyond the end of the log
	exited       bool        // process.exited was received
	wantsScreen  bool        // a screen was asked for and not received
	attached     bool        // the server has confirmed the execute or attach
	mustReattach bool        // a connection was made before that, without an attach to this session
	reattachedOn *connection // the connection of the last attach after a reconnect or Suspend; nil before
	once         sync.Once
	done         chan struct{}
	record       *rpc.Completion
	err          error
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

// painted records the position of a screen, after which the events continue.
func (s *Session) painted(seq int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq, s.received, s.wantsScreen = seq, true, false
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
