package server

import (
	"math"
	"sync"
	"time"

	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/stream"
)

const (
	// enoughForWrite is how many bytes one write has before no further frame is added to it.
	enoughForWrite = 16 << 10
	// keepBuffer is the largest frame buffer in bytes that is kept for the next use.
	keepBuffer = 256 << 10
	// peerCloseTimeout bounds the wait for the peer to close after the server has.
	peerCloseTimeout = time.Second
)

var frameBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 80<<10); return &b }}

// outbox owns a socket: its one goroutine is the only one that writes. The control queue (replies,
// notifications of the connection itself, control frames) is sent before output; subscriptions are
// scheduled round-robin. Output is not queued: it is taken from the cursors of the subscriptions,
// so the only output that a connection has in memory is one buffer of frames.
//
// Its timers call functions. In Go a goroutine that waits for the channel of a timer adds it to the
// heap of timers, and wakes a thread for that, each time that it begins to wait.
type outbox struct {
	*state
	sock   *socket
	done   chan struct{} // closed when the goroutine has ended; conn.serve waits for it
	owner  outboxOwner
	unread unreadLimit
	ping   time.Duration
	pings  *time.Timer // calls sendPing

	// These belong to the goroutine.
	resume *time.Timer // wakes the goroutine for output that waits for a slow peer; nil if it never did
	due    time.Time   // when resume fires
}

// outboxOwner is what an outbox reports to: its conn. The outbox calls the methods in its goroutine
// and without the lock of the state.
type outboxOwner interface {
	// logAbort is called with the error of the write that has ended the outbox.
	logAbort(err error)
	// finishSubscription is called when the last event of a session is in the buffer.
	finishSubscription(sub *subscription)
}

func newOutbox(s *state, sock *socket, ping time.Duration, owner outboxOwner) *outbox {
	return &outbox{state: s, sock: sock, ping: ping, owner: owner, done: make(chan struct{})}
}

// sendPing sends a ping, and the next one after the interval.
func (o *outbox) sendPing() {
	o.update(func(st *connStatus) {
		if st.queue(frame(framePing, nil)) {
			o.pings.Reset(o.ping)
		}
	})
}

// abort ends the outbox at once. It returns false if that was done before.
func (o *outbox) abort() (first bool) {
	o.update(func(st *connStatus) {
		first = st.phase != phaseClosed
		st.advance(phaseClosed)
	})
	_ = o.sock.Conn.Close()
	return first
}

// abortUnlessClosing ends the outbox at once, unless it is about to end by a close frame.
func (o *outbox) abortUnlessClosing() {
	closing := false
	o.update(func(st *connStatus) {
		if closing = st.phase == phaseClosing; !closing {
			st.advance(phaseClosed)
		}
	})
	if !closing {
		_ = o.sock.Conn.Close()
	}
}

// closeWithin sends a close frame and ends the outbox, at the latest after d.
func (o *outbox) closeWithin(d time.Duration, f []byte) {
	o.update(func(st *connStatus) {
		if st.queue(f) {
			st.abort = time.AfterFunc(d, func() { o.abort() })
		}
	})
}

// pong takes the payload of a peer's answer to a ping.
func (o *outbox) pong(payload []byte) {
	if o.unread.answered(payload) {
		o.update(func(st *connStatus) { st.wakeOutbox = true })
	}
}

// run is the goroutine. It closes the socket when it ends.
func (o *outbox) run() {
	defer close(o.done)
	defer o.stopTimers()
	o.pings = time.AfterFunc(math.MaxInt64, o.sendPing) // sendPing reads pings
	o.pings.Reset(o.ping)
	for range o.wake { // a token of state.update
		last, err := o.writeAll()
		if err != nil {
			if o.abort() { // else the write failed because of an abort
				o.owner.logAbort(err)
			}
			return
		}
		if last {
			o.sock.awaitPeerClose(peerCloseTimeout)
			o.abort()
			return
		}
	}
}

// stopTimers is called when the connection is closed, after which sendPing starts no timer.
func (o *outbox) stopTimers() {
	o.pings.Stop()
	o.update(func(st *connStatus) {
		if st.abort != nil {
			st.abort.Stop()
		}
	})
	if o.resume != nil {
		o.resume.Stop()
	}
}

// writeAll writes until nothing is left to write, or output has to wait for a slow peer. It reports
// whether the last frame was written.
func (o *outbox) writeAll() (last bool, err error) {
	p := frameBuffers.Get().(*[]byte)
	buf := *p
	defer func() {
		if cap(buf) <= keepBuffer {
			*p = buf[:0]
			frameBuffers.Put(p)
		}
	}()
	for {
		buf, last = o.fill(buf[:0])
		if len(buf) == 0 {
			return last, nil
		}
		if !last { // nothing is sent after a close frame
			buf = o.unread.write(buf, o.sock.limit.slow.Load())
			o.sock.limit.paced.Store(o.unread.answers())
		}
		if err := o.sock.write(buf); err != nil {
			return false, err
		}
		if last {
			return true, nil
		}
	}
}

// fill appends what is to be written next: the control queue, then an item of each scheduled
// subscription until the buffer has enoughForWrite. It reports whether the last frame was appended.
func (o *outbox) fill(buf []byte) (_ []byte, last bool) {
	for {
		waits := o.outputWaits()
		var sub *subscription
		replies := false
		o.update(func(st *connStatus) {
			replies = len(st.control) > 0
			buf, sub, last = st.next(buf, !waits)
		})
		if replies {
			o.unread.reply()
		}
		if sub == nil {
			return buf, last
		}
		buf = o.fillFrom(sub, buf)
		if len(buf) >= enoughForWrite {
			return buf, false
		}
	}
}

// fillFrom appends the next item of a subscription as a frame. Unless that was the last one, it
// schedules the subscription again.
func (o *outbox) fillFrom(sub *subscription, buf []byte) []byte {
	it, ok := sub.next()
	if !ok {
		return buf
	}
	buf = sub.enc.appendItem(buf, &it)
	sub.release()
	last := isLast(&it)
	o.update(func(st *connStatus) {
		sub.sentUpTo(it.To)
		if !last {
			st.schedule(sub)
		}
	})
	if last {
		o.owner.finishSubscription(sub)
	}
	return buf
}

// isLast reports whether no item follows in the log.
func isLast(it *stream.Item) bool {
	switch it.Event.(type) {
	case *session.Record, *session.Failed:
		return true
	}
	return false
}

// outputWaits reports whether output has to wait for a slow peer to read what was sent. If so, the
// goroutine is woken when the peer answers or the wait is over.
func (o *outbox) outputWaits() bool {
	if !o.sock.limit.slow.Load() {
		return false
	}
	delay := o.unread.wait()
	if now := time.Now(); delay > 0 && !now.Before(o.due) { // else resume fires earlier
		o.due = now.Add(delay)
		if o.resume == nil {
			o.resume = time.AfterFunc(delay, func() { o.update(func(st *connStatus) { st.wakeOutbox = true }) })
		} else {
			o.resume.Reset(delay)
		}
	}
	return delay > 0
}
