package client

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxQueued is how many bytes may be queued before a send waits for room.
	maxQueued = 1 << 20
	// urgentRoom is how many more bytes post may queue, for messages that cannot wait: the
	// cancellation of a request or a session.
	urgentRoom = 128 << 10
	// maxPooled is the capacity of the largest buffer that is reused.
	maxPooled = 256 << 10
)

// errOutboxClosed is the error of a send after the outbox was closed. The connection has the reason.
var errOutboxClosed = errors.New("outbox is closed")

// outgoing is a message to send.
type outgoing struct {
	frame   []byte
	buffer  *[]byte       // the buffer that contains frame
	written chan struct{} // closed when the message has been written; nil if nothing waits for that
	users   atomic.Int32  // of the buffer: the outbox until all is written, and a sender that may send it again
}

// outbox is the queue of messages to send on a connection, and its only writer. A sender waits,
// under its context, for room in the queue. A queued message can be withdrawn until its first byte
// is written; then it is written completely. A pong is written before queued messages. If nothing
// is queued, the sender itself writes as much as the kernel accepts at once, which saves waking the
// goroutine of run.
type outbox struct {
	conn     net.Conn
	tryWrite func([]byte) int // writes without blocking; nil if the connection does not support that
	waiter   chan struct{}    // a semaphore: one sender at a time waits for room
	room     chan struct{}    // signaled when there may be room
	wake     chan struct{}    // signaled when there may be something to write
	done     chan struct{}    // closed when run has returned

	mu      sync.Mutex
	queue   []*outgoing
	size    int          // bytes of the frames in queue
	pong    []byte       // for the newest ping; older pings need no pong (RFC 6455 §5.5.3)
	pings   *time.Ticker // nil if the client does not ping
	partial *outgoing    // the rest of a message that a sender has written in part
	trying  bool         // a sender is writing
	writing bool         // run is writing
	closing bool         // run returns when all is written; no message is accepted
	closed  bool         // run has returned
}

func newOutbox(conn net.Conn) *outbox {
	return &outbox{
		conn:   conn,
		waiter: make(chan struct{}, 1),
		room:   make(chan struct{}, 1),
		wake:   make(chan struct{}, 1),
		done:   make(chan struct{}),
	}
}

// send queues or writes the message. It waits for room in the queue.
func (o *outbox) send(ctx context.Context, m *outgoing) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case o.waiter <- struct{}{}:
		defer func() { <-o.waiter }()
	case <-o.done:
		return errOutboxClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		if queued, closed := o.enqueue(m, maxQueued); closed {
			return errOutboxClosed
		} else if queued {
			return nil
		}
		select {
		case <-o.room:
		case <-o.done:
			return errOutboxClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// post queues the message without waiting. It drops the message if the queue has no room.
func (o *outbox) post(m *outgoing) { _, _ = o.enqueue(m, maxQueued+urgentRoom) }

// enqueue queues or writes the message if fewer than limit bytes are queued.
func (o *outbox) enqueue(m *outgoing, limit int) (queued, closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.closing {
		return false, true
	}
	if o.size >= limit {
		return false, false
	}
	if o.tryWrite != nil && !o.writing && !o.trying && o.partial == nil && o.pong == nil && len(o.queue) == 0 {
		o.writeDirectly(m)
		return true, false
	}
	o.queue = append(o.queue, m)
	o.size += len(m.frame)
	signal(o.wake)
	return true, false
}

// writeDirectly writes what the kernel accepts of the message, and leaves the rest to run. It is
// called with o.mu held, and releases it during the write.
func (o *outbox) writeDirectly(m *outgoing) {
	o.trying = true
	o.mu.Unlock()
	n := o.tryWrite(m.frame)
	o.mu.Lock()
	o.trying = false
	if n == len(m.frame) {
		m.sent()
	} else {
		m.frame = m.frame[n:]
		o.partial = m
	}
	if o.partial != nil || o.pong != nil || len(o.queue) > 0 || o.closing {
		signal(o.wake)
	}
}

// withdraw removes a message from the queue. It reports false if the message may have been written.
func (o *outbox) withdraw(m *outgoing) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, queued := range o.queue {
		if queued == m {
			o.queue = append(o.queue[:i], o.queue[i+1:]...)
			o.size -= len(m.frame)
			signal(o.room)
			return true
		}
	}
	return false
}

// control queues a control frame. A close frame is written after all queued messages, and closes
// the outbox.
func (o *outbox) control(frame []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		return net.ErrClosed
	case frame[0]&opcodeBits == opPong:
		o.pong = frame
	default:
		o.queue = append(o.queue, &outgoing{frame: frame})
		o.size += len(frame)
		o.closing = o.closing || frame[0]&opcodeBits == opClose
	}
	signal(o.wake)
	return nil
}

// startPings makes the outbox ping the server at an interval.
func (o *outbox) startPings(interval time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pings = time.NewTicker(interval)
	signal(o.wake)
}

// flush closes the outbox, and waits until all is written, but at most for the timeout.
func (o *outbox) flush(timeout time.Duration) {
	o.mu.Lock()
	o.closing = true
	signal(o.wake)
	o.mu.Unlock()
	select {
	case <-o.done:
	case <-time.After(timeout):
	}
}

// run writes messages until stop is closed, a write fails, or the outbox is closed and all is
// written.
func (o *outbox) run(stop <-chan struct{}) error {
	defer close(o.done)
	defer o.discard()
	for {
		frame, m, pings, finished := o.next()
		if finished {
			return nil
		}
		if frame == nil {
			select {
			case <-o.wake:
				continue
			case <-pings:
				_ = o.control(controlFrame(framePing))
				continue
			case <-stop:
				return nil
			}
		}
		if _, err := o.conn.Write(frame); err != nil {
			return err
		}
		m.sent()
	}
}

// next returns the next frame to write, and its message unless it is a pong. Frame is nil if there
// is none now; finished is true if there will be none.
func (o *outbox) next() (frame []byte, m *outgoing, pings <-chan time.Time, finished bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pings != nil {
		pings = o.pings.C
	}
	o.writing = false
	if o.trying {
		return nil, nil, pings, false
	}
	if m = o.partial; m != nil {
		o.partial, o.writing = nil, true
		return m.frame, m, pings, false
	}
	if frame = o.pong; frame != nil {
		o.pong, o.writing = nil, true
		return frame, nil, pings, false
	}
	if len(o.queue) == 0 {
		return nil, nil, pings, o.closing
	}
	m = o.queue[0]
	o.queue[0] = nil
	o.queue, o.writing = o.queue[1:], true
	o.size -= len(m.frame)
	signal(o.room)
	return m.frame, m, pings, false
}

// discard closes the outbox and drops what is queued.
func (o *outbox) discard() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.queue, o.partial, o.pong = true, nil, nil, nil
	if o.pings != nil {
		o.pings.Stop()
	}
}

// sent wakes the sender that waits for the write, and releases the buffer.
func (m *outgoing) sent() {
	if m == nil {
		return
	}
	if m.written != nil {
		close(m.written)
	}
	m.release()
}

// retain keeps the buffer out of the pool until one more release.
func (m *outgoing) retain() { m.users.Add(1) }

// release returns the buffer to the pool after its last use. The reply to a message may be received before
// the write of the message has returned.
func (m *outgoing) release() {
	if m.users.Add(-1) == 0 && m.buffer != nil && cap(*m.buffer) <= maxPooled {
		buffers.Put(m.buffer)
	}
}

// buffers are the buffers of messages that have been written.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// signal makes one receive from c succeed, now or later.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
