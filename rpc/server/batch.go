package server

import (
	"sync"

	"github.com/runnel-rpc/runnel/rpc"
)

// batch collects the replies of one batch and sends them as one message when the last is there.
type batch struct {
	conn *conn

	mu      sync.Mutex
	text    []byte
	held    int // of text, in the outbox's count
	pending int // items that have no reply yet, and one for the reading of the batch itself
}

func newBatch(c *conn) *batch {
	c.owe()
	return &batch{conn: c, pending: 1}
}

// add counts an item that will be answered.
func (b *batch) add() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending++
}

// reply takes an item's reply. One that does not fit into the message any more becomes an error, for which
// there is always room: maxBatch of them, with the longest ids, fill less than half of it. So does one for
// which the connection's unfinished batches leave no room together.
func (b *batch) reply(id, message []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.text)+len(message) > rpc.MaxFrameBytes-maxBatch*maxIDBytes*4 {
		message = errorReply(id, rpc.ReplyTooLarge())
	}
	if b.conn.outbox.hold(len(message)) {
		b.held += len(message)
	} else {
		message = errorReply(id, rpc.Overloaded("max_reply_bytes", maxReplyBytes))
	}
	if len(b.text) > 0 {
		b.text = append(b.text, ',')
	} else {
		b.text = append(b.text, '[')
	}
	b.text = append(b.text, message...)
	b.finish()
}

// started says that all items have been started.
func (b *batch) started() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finish()
}

// finish sends the answer when nothing is pending. A batch of notifications has none (JSON-RPC 2.0 §6).
func (b *batch) finish() {
	b.pending--
	if b.pending > 0 {
		return
	}
	if len(b.text) > 0 {
		b.conn.outbox.release(b.held)
		b.conn.outbox.send(append(b.text, ']'))
	}
	b.conn.paid()
}
