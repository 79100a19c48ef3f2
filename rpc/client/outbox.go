package client

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// maxQueued is how many bytes may wait to be sent before calls have to wait for their turn.
	maxQueued = 1 << 20
	// spare is how much more may be queued by messages that can't wait: the cancellation of a request or a session.
	spare = 128 << 10
	// maxKept is the longest buffer that is used again.
	maxKept = 256 << 10
)

// errOver says that nothing is sent any more. The link knows why.
var errOver = errors.New("nothing is sent any more")

// outgoing is a message that is to be sent.
type outgoing struct {
	frame   []byte
	buffer  *[]byte       // what frame lies in
	written chan struct{} // closed when it was written; nil where nobody waits for that
}

// outbox is the queue of what is to be sent on a connection, and the one place that writes to it. Whoever sends
// waits, under a context, for room in the queue. A message may be taken back until it is begun; then it is written
// whole. The answer to a ping goes first. Where nothing waits, the sender writes as much as the kernel takes at once,
// which saves waking the goroutine of run.
type outbox struct {
	to   net.Conn
	try  func([]byte) int // writes what is taken without a wait; nil where that can't be told
	turn chan struct{}    // held by the one that waits for room
	room chan struct{}    // there may be room
	wake chan struct{}    // there may be something to write
	done chan struct{}    // closed when run has returned

	mu      sync.Mutex
	queue   []*outgoing
	bytes   int          // of the queue
	answer  []byte       // the pong to the newest ping; older pings need none (RFC 6455 §5.5.3)
	pings   *time.Ticker // nil where this side need not ping
	begun   *outgoing    // the rest of what a sender has begun to write
	trying  bool         // a sender writes
	writing bool         // run writes
	leaving bool         // run returns when the queue is empty
	over    bool         // nothing is sent any more
}

func newOutbox(to net.Conn) *outbox {
	return &outbox{
		to:   to,
		turn: make(chan struct{}, 1),
		room: make(chan struct{}, 1),
		wake: make(chan struct{}, 1),
		done: make(chan struct{}),
	}
}

// send waits until the message is in the queue.
func (o *outbox) send(ctx context.Context, m *outgoing) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case o.turn <- struct{}{}:
		defer func() { <-o.turn }()
	case <-o.done:
		return errOver
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		if queued, over := o.put(m, maxQueued); over {
			return errOver
		} else if queued {
			return nil
		}
		select {
		case <-o.room:
		case <-o.done:
			return errOver
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// post puts the message into the queue without waiting, if there is any room for it.
func (o *outbox) post(m *outgoing) { _, _ = o.put(m, maxQueued+spare) }

func (o *outbox) put(m *outgoing, most int) (queued, over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over || o.leaving {
		return false, true
	}
	if o.bytes >= most {
		return false, false
	}
	if o.try != nil && !o.writing && !o.trying && o.begun == nil && o.answer == nil && len(o.queue) == 0 {
		o.tryLocked(m)
		return true, false
	}
	o.queue = append(o.queue, m)
	o.bytes += len(m.frame)
	signal(o.wake)
	return true, false
}

// tryLocked writes what the kernel takes of the message, and leaves the rest to run. It gives the lock back meanwhile.
func (o *outbox) tryLocked(m *outgoing) {
	o.trying = true
	o.mu.Unlock()
	n := o.try(m.frame)
	o.mu.Lock()
	o.trying = false
	if n == len(m.frame) {
		m.wrote()
	} else {
		m.frame = m.frame[n:]
		o.begun = m
	}
	if o.begun != nil || o.answer != nil || len(o.queue) > 0 || o.leaving {
		signal(o.wake)
	}
}

// withdraw takes a message back. It reports false where it was begun, and may have been received.
func (o *outbox) withdraw(m *outgoing) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, queued := range o.queue {
		if queued == m {
			o.queue = append(o.queue[:i], o.queue[i+1:]...)
			o.bytes -= len(m.frame)
			signal(o.room)
			return true
		}
	}
	return false
}

// control takes a control frame of the WebSocket library's. A close frame goes behind what is queued.
func (o *outbox) control(frame []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.over:
		return net.ErrClosed
	case frame[0]&opcodeBits == opPong:
		o.answer = frame
	default:
		o.queue = append(o.queue, &outgoing{frame: frame})
		o.bytes += len(frame)
		o.leaving = o.leaving || frame[0]&opcodeBits == opClose
	}
	signal(o.wake)
	return nil
}

// pingEvery has the outbox ping the server.
func (o *outbox) pingEvery(interval time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pings = time.NewTicker(interval)
	signal(o.wake)
}

// finish waits until what is queued was written, for d at most. Nothing can be sent after it.
func (o *outbox) finish(d time.Duration) {
	o.mu.Lock()
	o.leaving = true
	signal(o.wake)
	o.mu.Unlock()
	select {
	case <-o.done:
	case <-time.After(d):
	}
}

// run writes what is queued until over is closed, a write fails, or finish was called and all is written.
func (o *outbox) run(over <-chan struct{}) error {
	defer close(o.done)
	defer o.end()
	for {
		frame, m, pings, left := o.next()
		if left {
			return nil
		}
		if frame == nil {
			select {
			case <-o.wake:
				continue
			case <-pings:
				_ = o.control(controlFrame(framePing))
				continue
			case <-over:
				return nil
			}
		}
		if _, err := o.to.Write(frame); err != nil {
			return err
		}
		m.wrote()
	}
}

// next takes what is to be written next; frame is nil where that is nothing, and left says that nothing will be.
func (o *outbox) next() (frame []byte, m *outgoing, pings <-chan time.Time, left bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pings != nil {
		pings = o.pings.C
	}
	o.writing = false
	if o.trying {
		return nil, nil, pings, false
	}
	if m = o.begun; m != nil {
		o.begun, o.writing = nil, true
		return m.frame, m, pings, false
	}
	if frame = o.answer; frame != nil {
		o.answer, o.writing = nil, true
		return frame, nil, pings, false
	}
	if len(o.queue) == 0 {
		return nil, nil, pings, o.leaving
	}
	m = o.queue[0]
	o.queue[0] = nil
	o.queue, o.writing = o.queue[1:], true
	o.bytes -= len(m.frame)
	signal(o.room)
	return m.frame, m, pings, false
}

// end drops what was not written.
func (o *outbox) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over, o.queue, o.begun, o.answer = true, nil, nil, nil
	if o.pings != nil {
		o.pings.Stop()
	}
}

// wrote tells who waits, and keeps the buffer for another message.
func (m *outgoing) wrote() {
	if m == nil {
		return
	}
	if m.written != nil {
		close(m.written)
	}
	if m.buffer != nil && cap(*m.buffer) <= maxKept {
		buffers.Put(m.buffer)
	}
}

// buffers are those of messages that were written.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// signal wakes who waits, now or next.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
