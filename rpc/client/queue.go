package client

import (
	"encoding/json"
	"slices"
	"sync"

	"github.com/runnel-rpc/runnel/rpc"
)

// receiveQueue contains the events of a session that were received and are not consumed yet. The
// window bounds it: the client acknowledges what is consumed, and the server then sends that much
// more.
type receiveQueue struct {
	s      *Session
	window int64

	mu       sync.Mutex
	cond     sync.Cond // signaled when an item is added or the queue is closed
	items    []*item   // in order, beginning with the oldest that is not consumed; unused with readers
	received int64     // position up to which all was received
	unread   int64     // bytes that readers have not read
	consumed int64     // position up to which all is consumed; with readers, received less unread
	acked    int64     // position that was acknowledged last
	credit   int64     // how much smaller than window the server's window is, because of what was queued at the attach
	readers  map[string]*reader
	closed   bool
	err      error       // why the queue was closed; nil after the completion record
	conn     *connection // the one that the window belongs to; nil before the first attach after a reconnect
}

// item is an event, or output that readers consume in pieces.
type item struct {
	seq       int64
	out       *Output // nil for an event
	method    string
	params    []byte
	raw       []byte
	rest      []byte // the output that is not consumed
	delivered bool   // of an event
	gap       *rpc.Gap
}

func (it *item) consumed() bool { return len(it.rest) == 0 && (it.delivered || it.out != nil) }

func newReceiveQueue(s *Session) *receiveQueue {
	q := &receiveQueue{s: s, window: s.events.Window, readers: make(map[string]*reader)}
	q.cond.L = &q.mu
	if s.events.Readers { // for all streams, since a reader that is made later would miss a gap
		for _, stream := range streams {
			q.reader(stream)
		}
	}
	return q
}

// startWindow returns the window for an attach after seq on another connection: window less what is
// queued.
func (q *receiveQueue) startWindow(conn *connection, seq int64) *int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.conn = conn
	window := max(1, q.window-q.queued())
	q.acked, q.credit = seq, q.window-window
	return &window
}

// queued returns how many bytes of output are queued. A difference of positions would also count
// the bytes of gaps.
func (q *receiveQueue) queued() (n int64) {
	if q.s.events.Readers {
		return q.unread
	}
	for _, it := range q.items {
		n += int64(len(it.rest))
	}
	return n
}

// output is called by the goroutine that reads. It copies o, which is valid until it returns, and
// keeps raw, which is a copy already.
func (q *receiveQueue) output(o *Output, raw []byte) {
	c := *o
	c.Data = slices.Clone(o.Data)
	q.add(&item{seq: o.Seq, out: &c, rest: c.Data, raw: raw})
}

func (q *receiveQueue) event(method string, params, raw []byte, seq int64) {
	it := &item{seq: seq, method: method, params: slices.Clone(params), raw: slices.Clone(raw)}
	if q.s.events.Readers {
		q.s.dispatch(method, params, raw)
		it.gap = gapOf(method, params)
	}
	q.add(it)
}

func (q *receiveQueue) add(it *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.received = it.seq
	if q.s.events.Readers {
		q.unread += int64(len(it.rest))
		for _, r := range q.readers {
			r.add(it)
		}
		if ack := q.nextAck(); ack != nil {
			go ack() // the goroutine that reads the connection must not wait for a write
		}
	} else {
		q.items = append(q.items, it)
	}
	q.cond.Broadcast()
}

// close marks the end of the queue after the items that it has. The error is nil after the
// completion record.
func (q *receiveQueue) close(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.err = true, err
	q.cond.Broadcast()
}

// dispatch delivers the items to the session's functions, until the last event or the end of the
// queue. It has a goroutine of its own.
func (q *receiveQueue) dispatch() {
	for {
		it, err := q.next()
		if it == nil {
			q.s.finish(nil, err)
			return
		}
		if it.out == nil {
			q.s.dispatch(it.method, it.params, it.raw)
		} else {
			q.s.events.raw(it.raw)
			if q.s.events.Output != nil {
				q.s.events.Output(it.out)
			}
		}
		q.consume(it)
		if isLast(it.method) {
			return
		}
	}
}

// next waits for the oldest item. It returns nil at the end of the queue.
func (q *receiveQueue) next() (*item, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 0 {
		if q.closed {
			return nil, q.err
		}
		q.cond.Wait()
	}
	return q.items[0], nil
}

func (q *receiveQueue) consume(it *item) {
	q.mu.Lock()
	it.rest, it.delivered = nil, true
	ack := q.removeConsumed()
	q.mu.Unlock()
	if ack != nil {
		ack()
	}
}

// removeConsumed removes consumed items from the front. It returns a function that acknowledges
// them, to be called without the lock, or nil.
func (q *receiveQueue) removeConsumed() (ack func()) {
	n := 0
	for n < len(q.items) && q.items[n].consumed() {
		q.consumed = q.items[n].seq
		q.items[n] = nil
		n++
	}
	q.items = q.items[n:]
	return q.nextAck()
}

// nextAck returns a function that sends an acknowledgment, or nil if less than a quarter of the
// window was consumed since the last one.
func (q *receiveQueue) nextAck() (ack func()) {
	if q.s.events.Readers {
		q.consumed = q.received - q.unread
	}
	if upTo := q.consumed + q.credit; upTo-q.acked > q.window/4 && !q.closed {
		q.acked = upTo
		conn := q.conn
		return func() { q.sendAck(conn, upTo) }
	}
	return nil
}

// sendAck sends an acknowledgment on the connection that the window belongs to, which may not be
// the client's current one yet. An acknowledgment that is lost with its connection does no harm:
// the next attach starts a new window.
func (q *receiveQueue) sendAck(conn *connection, seq int64) {
	if conn == nil {
		conn = q.s.c.currentConnection()
	}
	if conn != nil {
		_ = conn.notify(q.s.c.ctx, rpc.MethodAck, rpc.AckParams{SessionID: q.s.id, Seq: seq})
	}
}

func gapOf(method string, params []byte) *rpc.Gap {
	var g rpc.Gap
	if method != rpc.NotifyGap || json.Unmarshal(params, &g) != nil {
		return nil
	}
	return &g
}
