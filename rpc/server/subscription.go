package server

import (
	"cmp"
	"slices"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/stream"
)

// maxAttached is the most sessions that one connection is attached to. A session that has ended
// counts until its last event is sent.
const maxAttached = 1000

// subscription is one session's events on one connection: a cursor on the session's log, and the
// replies that are ordered after its events.
type subscription struct {
	conn    *conn
	session *session.Session
	name    string // conn.name of the session
	att     *session.Attachment
	enc     encoder
	stream  bool
	passive bool // see attachOptions
	window  int64

	rest stream.Item // the part of the newest item that is not sent yet; belongs to the outbox

	// All below belongs to the state of the connection.
	active    bool          // may be scheduled
	scheduled bool          // is in connStatus.ready
	behind    *subscription // the next one in connStatus.ready
	closed    bool          // is not on the connection any more
	sent      int64
	ordered   []orderedReply // sorted by seq
	reading   *stream.Cursor // at the newest read, if the subscription has no output: it paces the session
}

// orderedReply is a reply that is ordered after the events up to seq.
type orderedReply struct {
	seq  int64
	sent chan struct{} // closed when the reply may be sent; request.finishLater waits for it
}

// attachOptions say which events of a session a connection gets.
type attachOptions struct {
	stream  bool  // output too
	drop    bool  // the connection loses output rather than block the process
	spool   bool  // the connection reads from the disk rather than block the process
	after   int64 // the place in the log after which the events begin
	window  int64 // the most bytes of output without an ack; 0 is no limit
	move    bool  // an existing subscription begins anew
	passive bool  // the connection only watches
}

// attachedAs returns the options for the params slow_client and window, which is nil if it is left
// out.
func attachedAs(slowClient string, window *int64) attachOptions {
	o := attachOptions{drop: slowClient == rpc.SlowClientDrop, spool: slowClient == rpc.SlowClientSpool}
	if window != nil {
		o.window = *window
	}
	return o
}

// subscribe attaches the connection to a session. Nothing of the subscription is sent before
// activate. An existing subscription is replaced if o.move is set; otherwise it is returned, and
// created is false.
func (c *conn) subscribe(s *session.Session, o attachOptions) (sub *subscription, created bool) {
	old := c.subscription(s)
	if old != nil && !o.move && old.session == s { // else the id is that of a forgotten session
		return old, false
	}
	sub = newSubscription(c, s, o)
	added := false
	c.update(func(st *connStatus) { old, added = st.add(sub) })
	if old != nil {
		old.att.Detach()
		old.closeReading()
	}
	if !added { // the connection is closing
		sub.att.Disconnect()
		return sub, true
	}
	if isDone(s.Done()) {
		if v := s.View(); v.Failure != nil && !v.FailureKept { // the start failed before Attach: there are no events
			c.finishSubscription(sub)
		}
	}
	return sub, true
}

func newSubscription(c *conn, s *session.Session, o attachOptions) *subscription {
	sub := &subscription{
		conn:    c,
		session: s,
		name:    c.name(s),
		stream:  o.stream,
		passive: o.passive,
		window:  o.window,
		sent:    o.after,
	}
	sub.enc = newEncoder(c.named(s), s.Spec(), c.dialect)
	sub.att = s.Attach(session.AttachOptions{
		Cursor: stream.CursorOptions{
			After:      o.after,
			Notes:      true,
			Block:      o.stream && !o.drop && !o.spool,
			Spool:      !o.drop,
			EventsOnly: !o.stream,
			Window:     o.window,
			// Log.Append calls it, under the lock of the log.
			Ready: func() { c.update(func(st *connStatus) { st.schedule(sub) }) },
		},
		Passive:    o.passive,
		OnDetached: func() { c.detachedBySession(sub) },
	})
	return sub
}

// add puts a subscription on the connection in place of the old one of its session, whose ordered
// replies it takes over. It returns false if that was too late: the connection is closing, or the
// session has detached the attachment.
func (st *connStatus) add(sub *subscription) (old *subscription, added bool) {
	if old = st.subscriptions[sub.name]; old != nil {
		sub.ordered, old.ordered = old.ordered, nil
		st.remove(old)
	}
	if sub.closed || st.phase >= phaseClosing {
		sub.close()
		return old, false
	}
	if st.subscriptions == nil {
		st.subscriptions = make(map[string]*subscription)
	}
	st.subscriptions[sub.name] = sub
	sub.sentUpTo(sub.sent)
	return old, true
}

// remove takes a subscription off the connection, and reports whether it was there.
func (st *connStatus) remove(sub *subscription) bool {
	if st.subscriptions[sub.name] != sub {
		return false
	}
	delete(st.subscriptions, sub.name)
	sub.close()
	return true
}

// removeAll takes all subscriptions off the connection.
func (st *connStatus) removeAll() map[string]*subscription {
	all := st.subscriptions
	st.subscriptions = make(map[string]*subscription)
	for _, sub := range all {
		sub.close()
	}
	return all
}

// schedule puts a subscription that may have output at the end of the queue.
func (st *connStatus) schedule(sub *subscription) {
	if sub.active && !sub.scheduled && !sub.closed {
		sub.scheduled = true
		st.ready.push(sub)
		st.wakeOutbox = true
	}
}

// readyQueue is the queue of the subscriptions that may have output. It is linked through
// subscription.behind, so scheduling allocates nothing.
type readyQueue struct {
	first, last *subscription
}

func (q *readyQueue) push(sub *subscription) {
	if q.first == nil {
		q.first = sub
	} else {
		q.last.behind = sub
	}
	q.last = sub
}

// pop removes the first subscription. The queue must not be empty.
func (q *readyQueue) pop() *subscription {
	sub := q.first
	q.first, sub.behind = sub.behind, nil
	if q.first == nil {
		q.last = nil
	}
	sub.scheduled = false
	return sub
}

// activate permits to schedule the subscription. It schedules it at once, to find out whether there
// is output.
func (sub *subscription) activate() {
	sub.conn.update(func(st *connStatus) {
		if !sub.active {
			sub.active = true
			st.schedule(sub)
		}
	})
}

// close needs the lock of the state. Replies that are ordered after the subscription's events may
// be sent.
func (sub *subscription) close() {
	sub.closed = true
	for _, r := range sub.ordered {
		close(r.sent)
	}
	sub.ordered = nil
}

// sentUpTo needs the lock of the state. It records that all up to seq is in the buffer: the replies
// that are ordered after it may be sent.
func (sub *subscription) sentUpTo(seq int64) {
	sub.sent = seq
	for len(sub.ordered) > 0 && sub.ordered[0].seq <= seq {
		close(sub.ordered[0].sent)
		sub.ordered = sub.ordered[1:]
	}
}

// waitFor returns a channel that is closed when all up to seq is in the connection's buffer or the
// subscription is closed. It returns nil if that has happened.
func (sub *subscription) waitFor(seq int64) (sent <-chan struct{}) {
	sub.conn.update(func(*connStatus) {
		if sub.closed || sub.sent >= seq {
			return
		}
		r := orderedReply{seq, make(chan struct{})}
		at, _ := slices.BinarySearchFunc(sub.ordered, seq, func(r orderedReply, seq int64) int {
			return cmp.Compare(r.seq, seq)
		})
		sub.ordered = slices.Insert(sub.ordered, at, r)
		sent = r.sent
	})
	return sent
}

// next returns the next item of the log, or in a dialect of single lines the next line of one. Its
// data is valid until release. Only the outbox calls it.
func (sub *subscription) next() (it stream.Item, ok bool) {
	if it, ok = sub.rest, sub.rest.Data != nil; !ok {
		if it, ok = sub.att.Next(); !ok {
			return it, false
		}
	}
	if sub.enc.lines && sub.enc.dialect.byLine {
		it, sub.rest = firstLine(it)
	}
	return it, true
}

// release ends the use of the newest item's data, unless a part of it is still to be sent.
func (sub *subscription) release() {
	if sub.rest.Data == nil {
		sub.att.Release()
	}
}

// readFrom is called when a read of the client begins at seq. If the subscription has no output,
// the reads pace its session. Only the goroutine that reads requests calls it.
func (sub *subscription) readFrom(seq int64) {
	if sub.stream {
		return
	}
	var closed bool
	var reading *stream.Cursor
	sub.conn.update(func(*connStatus) { closed, reading = sub.closed, sub.reading })
	switch {
	case closed:
		return
	case reading != nil:
		reading.Advance(seq)
		return
	}
	reading = sub.session.Cursor(stream.CursorOptions{After: seq, Block: true})
	sub.conn.update(func(*connStatus) {
		if closed = sub.closed; !closed {
			sub.reading = reading
		}
	})
	if closed {
		reading.Close()
	}
}

// closeReading ends the pacing by reads of a subscription that is closed.
func (sub *subscription) closeReading() {
	var reading *stream.Cursor
	sub.conn.update(func(*connStatus) { reading, sub.reading = sub.reading, nil })
	if reading != nil {
		reading.Close()
	}
}

// subscription returns the connection's subscription of a session, or nil.
func (c *conn) subscription(s *session.Session) (sub *subscription) {
	name := c.name(s)
	c.update(func(st *connStatus) { sub = st.subscriptions[name] })
	return sub
}

// mayAttach returns an error if the connection is attached to too many sessions to attach to
// another. Handlers are called one after the other, so it is valid until the next.
func (c *conn) mayAttach(name string) (err *rpc.Error) {
	c.update(func(st *connStatus) {
		if st.subscriptions[name] == nil && len(st.subscriptions) >= maxAttached {
			err = rpc.Overloaded("max_attached", maxAttached)
		}
	})
	return err
}

// unsubscribe takes a subscription off the connection, and reports whether it was there.
func (c *conn) unsubscribe(sub *subscription) (ok bool) {
	c.update(func(st *connStatus) { ok = st.remove(sub) })
	if ok {
		sub.closeReading()
	}
	return ok
}

// detach ends a subscription at the client's request.
func (c *conn) detach(sub *subscription) {
	if c.unsubscribe(sub) {
		sub.att.Detach()
	}
}

// finishSubscription ends a subscription whose last event is in the buffer.
func (c *conn) finishSubscription(sub *subscription) {
	if c.unsubscribe(sub) {
		sub.att.Disconnect()
	}
}

// detachedBySession ends a subscription whose attachment the session has ended: another connection
// has taken the session, or its start has failed. The session may call it before the subscription
// is on the connection.
func (c *conn) detachedBySession(sub *subscription) {
	c.update(func(st *connStatus) {
		if !st.remove(sub) {
			sub.close()
		}
	})
	sub.closeReading()
}

// unsubscribeAll detaches the connection, which has ended, from all its sessions.
func (c *conn) unsubscribeAll() {
	var all map[string]*subscription
	c.update(func(st *connStatus) { all = st.removeAll() })
	for _, sub := range all {
		sub.att.Disconnect()
		sub.closeReading()
	}
}

// streamNames are the types of process.output.
var streamNames = [...]string{
	stream.Stdout: rpc.StreamStdout,
	stream.Stderr: rpc.StreamStderr,
	stream.PTY:    rpc.StreamPTY,
}
