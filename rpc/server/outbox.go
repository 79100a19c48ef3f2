package server

import (
	"sync"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
)

const (
	// maxReplyBytes is how much may wait in a connection's control lane before no more requests are read and
	// no more replies made, and how much of batches may wait for the rest of them.
	maxReplyBytes = 4 << 20
	// gather is how much one write carries before no further frame is added to it.
	gather = 16 << 10
	// keepBuffer is the largest frame buffer that is kept for the next use.
	keepBuffer = 256 << 10
	// lingerTime bounds the wait for a peer to close when we have.
	lingerTime = time.Second
)

var frameBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 80<<10); return &b }}

// outbox owns a socket: its one goroutine is the only one that writes. What is to be sent waits in lanes.
// The control lane (replies, notifications of the connection itself, control frames) goes first; output
// lanes, one a session, take turns behind it. An output lane holds no output: it is a cursor on a session's
// log, pulled when its turn comes, so the only output that a connection holds is one buffer of frames.
type outbox struct {
	sock *socket
	ping time.Duration
	wake chan struct{} // holds one token when there is something to do
	done chan struct{} // closed when the goroutine has ended
	fail func(error)   // told why, where the goroutine ended by itself
	out  flight        // how far the peer is with what was written
	wait time.Duration // how long output waits for the peer; the goroutine's own

	mu      sync.Mutex
	room    sync.Cond // the control lane has shrunk, or everything is over
	frames  [][]byte  // the control lane
	bytes   int       // in frames
	held    int       // in batches that are not complete
	answer  []byte    // the pong to the newest ping, which is all that a peer is owed (RFC 6455 §5.5.3)
	ready   []*lane   // whose turn comes
	last    []byte    // the close frame that is sent when no lane has anything left
	closing bool      // nothing is taken any more; the control lane is sent
	dead    bool      // nothing is sent any more
}

func newOutbox(s *socket, ping time.Duration, fail func(error)) *outbox {
	o := &outbox{sock: s, ping: ping, wake: make(chan struct{}, 1), done: make(chan struct{}), fail: fail}
	o.room.L = &o.mu
	return o
}

// send puts a JSON-RPC message into the control lane. It does not wait.
func (o *outbox) send(message []byte) { o.control(frame(frameText, message)) }

// control puts a whole frame into the control lane and reports whether it will be sent. A close frame is
// the last that is taken (RFC 6455 §5.5.1).
func (o *outbox) control(f []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing || o.dead {
		return false
	}
	if f[0] == framePong { // a peer that pings and does not read must not fill the lane
		o.answer = f
	} else {
		o.frames = append(o.frames, f)
		o.bytes += len(f)
	}
	o.closing = f[0] == frameClose
	o.signal()
	return true
}

// waitRoom waits while the control lane is full. It reports false when the connection is over.
func (o *outbox) waitRoom() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.bytes >= maxReplyBytes && !o.closing && !o.dead {
		o.room.Wait()
	}
	return !o.closing && !o.dead
}

// hold counts n bytes of a batch that is not complete. It reports false, and counts nothing, where such
// batches would hold more than maxReplyBytes.
func (o *outbox) hold(n int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held+n > maxReplyBytes {
		return false
	}
	o.held += n
	return true
}

// release takes off what was held.
func (o *outbox) release(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held -= n
}

// turn lets a lane that has something wait for its turn. It may be called under a log's lock.
func (o *outbox) turn(l *lane) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l.open && !l.queued {
		l.queued = true
		o.ready = append(o.ready, l)
		o.signal()
	}
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// close ends the outbox: the frame, a close frame, is sent behind what is in the control lane, and then the
// goroutine ends. A second close has no effect.
func (o *outbox) close(f []byte) { o.control(f) }

// finish ends the outbox as close does, but output lanes have their turns first.
func (o *outbox) finish(f []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = f
	o.signal()
}

// abort ends the outbox at once, whatever it is doing. It reports false where that was done already.
func (o *outbox) abort() (first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	first, o.dead = !o.dead, true
	o.room.Broadcast()
	o.signal()
	_ = o.sock.Conn.Close()
	return first
}

// abortUnlessClosing ends the outbox at once, unless it is about to end by a close frame.
func (o *outbox) abortUnlessClosing() {
	o.mu.Lock()
	closing := o.closing
	o.mu.Unlock()
	if !closing {
		o.abort()
	}
}

// pong takes the payload of a peer's answer to a ping.
func (o *outbox) pong(payload []byte) {
	if o.out.answered(payload) {
		o.signal()
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
		over, err := o.drain(ping.C)
		if err != nil {
			if o.abort() { // else the abort is what the write failed of
				o.fail(err)
			}
			return
		}
		if over {
			o.sock.linger(lingerTime)
			o.abort()
			return
		}
	}
}

// await waits until there may be something to write. It reports false where a ping was due.
func (o *outbox) await(ping <-chan time.Time) bool {
	var enough <-chan time.Time
	if o.wait > 0 {
		t := time.NewTimer(o.wait)
		defer t.Stop()
		enough = t.C
	}
	select {
	case <-o.wake:
	case <-enough:
	case <-ping:
		o.control(frame(framePing, nil))
		return false
	}
	return true
}

// drain writes until nothing is left to write, or the peer has enough of output. It reports whether the last frame
// was written. Output may come without end, so it pings too.
func (o *outbox) drain(ping <-chan time.Time) (over bool, err error) {
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
			o.control(frame(framePing, nil))
		default:
		}
		buf, over = o.fill(buf[:0])
		if len(buf) == 0 {
			return over, nil
		}
		if err := o.sock.write(buf); err != nil {
			return false, err
		}
		if over {
			return true, nil
		}
		if ping := o.out.wrote(len(buf), o.sock.pace.on); ping != nil {
			o.control(ping)
		}
	}
}

// fill appends what is to be written next: the control lane, then a turn of each output lane while the
// buffer is small. It reports whether what it appended is the last.
func (o *outbox) fill(buf []byte) ([]byte, bool) {
	for {
		var over bool
		if buf, over = o.fillControl(buf); over {
			return buf, true
		}
		l, last := o.nextLane()
		if last != nil {
			return append(buf, last...), true
		}
		if l == nil {
			return buf, false
		}
		var more bool
		if buf, more = l.fill(buf); more {
			o.turn(l)
		}
		if len(buf) >= gather {
			return buf, false
		}
	}
}

func (o *outbox) fillControl(buf []byte) ([]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead {
		return buf[:0], true
	}
	buf, o.answer = append(buf, o.answer...), nil
	n := 0
	for n < len(o.frames) && (n == 0 || len(buf) < rpc.MaxOutputBytes) {
		buf = append(buf, o.frames[n]...)
		o.bytes -= len(o.frames[n])
		o.frames[n] = nil
		n++
	}
	o.frames = o.frames[n:]
	if len(o.frames) == 0 {
		o.frames = nil
	}
	if n > 0 {
		o.room.Broadcast()
	}
	return buf, o.closing && len(o.frames) == 0
}

// nextLane returns the lane whose turn it is; or, when there is none and the outbox is to finish, the last
// frame.
func (o *outbox) nextLane() (l *lane, last []byte) {
	if o.wait = o.slowPeer(); o.wait > 0 {
		return nil, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing {
		return nil, nil
	}
	if len(o.ready) == 0 {
		if o.last == nil || len(o.frames) > 0 { // a reply came after the control lane was looked at
			return nil, nil
		}
		o.closing = true
		return nil, o.last
	}
	l = o.ready[0]
	o.ready[0] = nil
	o.ready = o.ready[1:]
	if len(o.ready) == 0 {
		o.ready = nil
	}
	l.queued = false
	return l, nil
}

// slowPeer returns how long output has to wait for a slow peer to read what it was given.
func (o *outbox) slowPeer() time.Duration {
	if !o.sock.pace.on {
		return 0
	}
	return o.out.full()
}
