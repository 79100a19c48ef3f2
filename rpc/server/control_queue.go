package server

import "github.com/runnel-rpc/runnel/rpc"

// maxReplyBytes is how many bytes may be in a connection's control queue before no more requests
// are read and no more replies encoded, and how many may be in the replies of incomplete batches.
const maxReplyBytes = 4 << 20

// send puts a JSON-RPC message into the control queue. It does not wait.
func (s *state) send(message []byte) { s.sendFrame(frame(frameText, message)) }

// sendFrame puts a frame into the control queue and reports whether it will be sent. It does not
// wait.
func (s *state) sendFrame(f []byte) (ok bool) {
	s.update(func(st *connStatus) { ok = st.queue(f) })
	return ok
}

// waitRoom waits while the control queue is full. It returns false if nothing more can be sent.
func (s *state) waitRoom() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.status.controlBytes >= maxReplyBytes && s.status.phase < phaseClosing {
		s.room.Wait()
	}
	return s.status.phase < phaseClosing
}

// queue puts a frame into the control queue and reports whether it will be sent. A close frame is
// the last.
func (st *connStatus) queue(f []byte) bool {
	if st.phase >= phaseClosing {
		return false
	}
	st.wakeOutbox = true
	if f[0] == framePong { // a peer that sends pings and does not read must not fill the queue
		st.pong = f
		return true
	}
	st.control = append(st.control, f)
	st.controlBytes += len(f)
	if f[0] == frameClose {
		st.advance(phaseClosing)
	}
	return true
}

// takeControl moves the control queue to buf, or as many frames of it as make buf about
// rpc.MaxOutputBytes long.
func (st *connStatus) takeControl(buf []byte) []byte {
	buf, st.pong = append(buf, st.pong...), nil
	n := 0
	for n < len(st.control) && (n == 0 || len(buf) < rpc.MaxOutputBytes) {
		buf = append(buf, st.control[n]...)
		st.controlBytes -= len(st.control[n])
		st.control[n] = nil
		n++
	}
	if st.control = st.control[n:]; len(st.control) == 0 {
		st.control = nil
	}
	if n > 0 {
		st.signalRoom = true
	}
	return buf
}

// next moves the control queue to buf and returns the subscription whose output comes next. sub is
// nil if no subscription is scheduled or output is false. last reports whether the last frame of
// the connection was appended.
func (st *connStatus) next(buf []byte, output bool) (_ []byte, sub *subscription, last bool) {
	if st.phase == phaseClosed {
		return buf[:0], nil, true
	}
	buf = st.takeControl(buf)
	switch {
	case st.phase == phaseClosing:
		return buf, nil, len(st.control) == 0
	case !output:
		return buf, nil, false
	case st.ready.first != nil:
		return buf, st.ready.pop(), false
	case st.phase == phaseFlushing && len(st.control) == 0:
		st.advance(phaseClosing)
		return append(buf, st.closeFrame...), nil, true
	}
	return buf, nil, false
}
