package client

import (
	"context"
	"errors"
	"sync"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

const (
	// maxUnanswered is how many bytes of input a StdinWriter sends without waiting for replies,
	// each message charged inputOverhead besides.
	maxUnanswered = 1 << 20
	inputOverhead = 4 << 10
)

// StdinWriter writes to the stdin of a session, as an io.WriteCloser. It sends up to 1 MiB before
// the server has accepted it, so the throughput does not depend on the round trip. The bytes are
// accepted in their order.
//
// Each message has an offset. If the client reconnects, what the server had not accepted when a connection
// was lost is sent again on the next one. Other clients may write at the same time, but this one must not
// use two writers, or WriteBytes, from the first Write to the end of Close.
//
// A server without the capability "writer" knows only the position in all input: nothing else may write to
// the session then. If it was attached to, its position is not known, and each message is sent once, after
// the reply to the one before.
//
// Write and Close must not be called concurrently.
type StdinWriter struct {
	s       *Session
	ctx     context.Context
	limit   int           // bytes of input in a message
	most    int           // messages without an answer
	started bool          // receive was started
	done    chan struct{} // closed when receive has returned
	err     error         // set before done is closed
	room    chan struct{} // signaled when there may be room
	wake    chan struct{} // signaled when unanswered or closed has changed

	sending sync.Mutex  // held while messages are sent, since input has an order
	conn    *connection // that they are sent on
	offset  int64       // of the next message

	mu         sync.Mutex
	unanswered []*inputMessage // in their order
	charged    int             // for them
	closed     bool            // no more follow
}

// inputMessage is a write request.
type inputMessage struct {
	*outgoing
	retained bool // the buffer, to send it again
	id       string
	size     int // bytes of data
	conn     *connection
	answer   <-chan reply
}

// StdinWriter returns a writer to the stdin of the session. When the context ends, it stops and
// withdraws what was not sent. The caller must call Close or end the context.
func (s *Session) StdinWriter(ctx context.Context) *StdinWriter {
	w := &StdinWriter{
		s:      s,
		ctx:    ctx,
		limit:  min(s.c.inputLimit(), maxInputPiece),
		most:   maxUnanswered / inputOverhead,
		offset: s.stdin.position(),
		done:   make(chan struct{}),
		room:   make(chan struct{}, 1),
		wake:   make(chan struct{}, 1),
	}
	if n := s.c.Connected().Limits.MaxInFlight; n > 0 {
		w.most = min(w.most, n/2) // leaves some for other requests
	}
	return w
}

// Write sends data, and waits while too much is not accepted. The error may be that of an earlier
// Write.
func (w *StdinWriter) Write(data []byte) (n int, err error) {
	for len(data) > 0 {
		piece := data[:min(len(data), w.limit)]
		if err := w.submit(piece, false); err != nil {
			return n, err
		}
		n += len(piece)
		data = data[len(piece):]
	}
	return n, nil
}

// Close closes stdin, and waits until the server has accepted all that was written. On a terminal,
// it types the eof key.
func (w *StdinWriter) Close() error {
	err := w.submit(nil, true)
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	signal(w.wake)
	<-w.done
	if err == nil {
		err = w.err
	}
	if err == nil {
		w.s.stdin.setSent(w.offset)
	}
	return err
}

// Done is closed after Close, or when a write has failed; then Err returns its error.
func (w *StdinWriter) Done() <-chan struct{} { return w.done }

// Err returns why the writer has failed. It may be called once Done is closed.
func (w *StdinWriter) Err() error { return w.err }

// submit sends a message. It waits for room first.
func (w *StdinWriter) submit(data []byte, eof bool) error {
	if !w.started {
		w.started = true
		go w.receive()
	}
	if err := w.awaitRoom(); err != nil {
		return err
	}
	w.sending.Lock()
	defer w.sending.Unlock()
	if err := w.useConnection(); err != nil {
		return err
	}
	m := &inputMessage{id: uuid.NewString(), size: len(data)}
	p := input{session: w.s.id, data: data, offset: w.offset, hasOffset: w.s.hasPosition(), writer: w.s.writer(), eof: eof}
	var err error
	if m.outgoing, err = w.conn.encode(rpc.MethodWrite, m.id, p); err != nil {
		return err
	}
	if w.s.retriesInput() {
		m.retain()
		m.retained = true
	}
	w.offset += int64(len(data))
	w.mu.Lock()
	w.unanswered = append(w.unanswered, m)
	w.charged += m.size + inputOverhead
	w.expect(m)
	w.mu.Unlock()
	signal(w.wake)
	_ = w.conn.outbox.send(w.ctx, m.outgoing)
	return nil
}

// useConnection sets the connection to send on. While messages have no answer it stays the same:
// they are sent on another one before any that follows. It needs the lock sending.
func (w *StdinWriter) useConnection() error {
	w.mu.Lock()
	none := len(w.unanswered) == 0
	w.mu.Unlock()
	if !none {
		return nil
	}
	conn, err := w.s.c.awaitConnection(w.ctx)
	if err == nil {
		w.conn = conn
	}
	return err
}

// expect makes the current connection receive the reply to a message, before it is sent. If the
// connection is lost, receive finds that out. It needs both locks.
func (w *StdinWriter) expect(m *inputMessage) { m.conn, m.answer = w.conn, w.conn.calls.add(m.id, nil) }

// awaitRoom waits until a message may be sent. The error is that of the writer.
func (w *StdinWriter) awaitRoom() error {
	for {
		w.mu.Lock()
		n := len(w.unanswered)
		ok := n == 0 || w.s.hasPosition() && w.charged < maxUnanswered && n < w.most
		w.mu.Unlock()
		select {
		case <-w.done:
			return w.failure()
		default:
		}
		if ok {
			return nil
		}
		select {
		case <-w.room:
		case <-w.done:
		}
	}
}

// failure returns the error of a write after the writer has stopped.
func (w *StdinWriter) failure() error {
	if w.err == nil {
		return errors.New("stdin is closed")
	}
	return w.err
}

// receive receives the replies, until one is an error, or the writer is closed and all messages are
// answered.
func (w *StdinWriter) receive() {
	defer close(w.done)
	for {
		m, more := w.next()
		if !more {
			return
		}
		if w.err = w.await(m); w.err != nil {
			w.abandon()
			return
		}
		w.answered(m)
	}
}

// next waits for the oldest message without an answer. more is false if none will follow.
func (w *StdinWriter) next() (m *inputMessage, more bool) {
	for {
		w.mu.Lock()
		if len(w.unanswered) > 0 {
			m = w.unanswered[0]
		}
		closed := w.closed
		w.mu.Unlock()
		switch {
		case m != nil:
			return m, true
		case closed:
			return nil, false
		}
		select {
		case <-w.wake:
		case <-w.ctx.Done():
			w.err = w.ctx.Err()
			return nil, false
		}
	}
}

// await waits for the answer to a message.
func (w *StdinWriter) await(m *inputMessage) error {
	for {
		w.mu.Lock()
		conn, answer := m.conn, m.answer
		w.mu.Unlock()
		select {
		case r := <-answer:
			return r.decode(nil)
		case <-conn.done:
		case <-w.ctx.Done():
			return w.ctx.Err()
		}
		select {
		case r := <-answer: // the last message before the connection was lost
			return r.decode(nil)
		default:
		}
		if !w.s.retriesInput() {
			return conn.closedError()
		}
		if err := w.sendAgain(); err != nil {
			return err
		}
	}
}

// sendAgain sends all messages without an answer on the next connection, in their order.
func (w *StdinWriter) sendAgain() error {
	w.sending.Lock()
	defer w.sending.Unlock()
	conn, err := w.s.c.awaitConnection(w.ctx)
	if err != nil {
		return err
	}
	w.conn = conn
	w.mu.Lock()
	messages := w.unanswered
	for _, m := range messages {
		w.expect(m)
	}
	w.mu.Unlock()
	for _, m := range messages {
		m.outgoing = &outgoing{frame: frameAgain(frameText, *m.buffer), buffer: m.buffer}
		m.users.Store(2) // the outbox, and this writer
		_ = conn.outbox.send(w.ctx, m.outgoing)
	}
	return nil
}

// answered removes the oldest message.
func (w *StdinWriter) answered(m *inputMessage) {
	w.mu.Lock()
	w.unanswered[0] = nil
	w.unanswered = w.unanswered[1:]
	w.charged -= m.size + inputOverhead
	w.mu.Unlock()
	if m.retained {
		m.release()
	}
	signal(w.room)
}

// abandon withdraws or cancels the messages that have no answer, the newest first.
func (w *StdinWriter) abandon() {
	w.sending.Lock()
	defer w.sending.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.unanswered) - 1; i >= 0; i-- {
		m := w.unanswered[i]
		m.conn.calls.remove(m.id)
		if w.ctx.Err() != nil {
			m.conn.cancelCall(m.id, m.outgoing)
		}
	}
	w.unanswered = nil
}
