package server

import (
	"sync"
	"time"

	"github.com/runnel-rpc/runnel/session"
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
type outbox struct {
	*state
	sock   *socket
	ping   time.Duration
	done   chan struct{} // closed when the goroutine has ended; conn.serve waits for it
	owner  outboxOwner
	unread unreadLimit
	delay  time.Duration // how long output waits for a slow peer; the goroutine's own
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

// pong takes the payload of a peer's answer to a ping.
func (o *outbox) pong(payload []byte) {
	if o.unread.answered(payload) {
		o.update(func(st *connStatus) { st.wakeOutbox = true })
	}
}

// run is the goroutine. It closes the socket when it ends.
func (o *outbox) run() {
	defer close(o.done)
	ping := time.NewTicker(o.ping)
	defer ping.Stop()
	for {
		if !o.await(ping.C) {
			continue
		}
		last, err := o.writeAll(ping.C)
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

// await waits until there may be something to write: for the token that state.update puts into wake
// if its function has set wakeOutbox, or until the delay of output is over. It returns false if a
// ping was due.
func (o *outbox) await(ping <-chan time.Time) bool {
	var resume <-chan time.Time // output
	if o.delay > 0 {
		t := time.NewTimer(o.delay)
		defer t.Stop()
		resume = t.C
	}
	select {
	case <-o.wake:
	case <-resume:
	case <-ping:
		o.sendFrame(frame(framePing, nil))
		return false
	}
	return true
}

// writeAll writes until nothing is left to write, or output has to wait for a slow peer. It reports
// whether the last frame was written. Output can be endless, so writeAll sends pings too.
func (o *outbox) writeAll(ping <-chan time.Time) (last bool, err error) {
	p := frameBuffers.Get().(*[]byte)
	buf := *p
	defer func() {
		if cap(buf) <= keepBuffer {
			*p = buf[:0]
			frameBuffers.Put(p)
		}
	}()
	for {
		select {
		case <-ping:
			o.sendFrame(frame(framePing, nil))
		default:
		}
		buf, last = o.fill(buf[:0])
		if len(buf) == 0 {
			return last, nil
		}
		if err := o.sock.write(buf); err != nil {
			return false, err
		}
		if last {
			return true, nil
		}
		if ping := o.unread.wrote(len(buf), o.sock.limit.slow); ping != nil {
			o.sendFrame(ping)
		}
	}
}

// fill appends what is to be written next: the control queue, then an item of each scheduled
// subscription until the buffer has enoughForWrite. It reports whether the last frame was appended.
func (o *outbox) fill(buf []byte) (_ []byte, last bool) {
	for {
		o.delay = o.outputDelay()
		var sub *subscription
		o.update(func(st *connStatus) { buf, sub, last = st.next(buf, o.delay == 0) })
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
	_, record := it.Event.(*session.Record)
	o.update(func(st *connStatus) {
		sub.sentUpTo(it.To)
		if !record {
			st.schedule(sub)
		}
	})
	if record {
		o.owner.finishSubscription(sub)
	}
	return buf
}

// outputDelay returns how long output has to wait for a slow peer to read what was sent.
func (o *outbox) outputDelay() time.Duration {
	if !o.sock.limit.slow {
		return 0
	}
	return o.unread.wait()
}
