package server

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestCloseFrameOfAShutdownIsLast: the close frame is sent after a reply that came into the control
// queue when the shutdown had begun, and nothing is sent after it.
func TestCloseFrameOfAShutdownIsLast(t *testing.T) {
	o := newOutbox(newState(), newSocket(nil, time.Minute), time.Minute, nil)
	if b, last := o.fill(nil); len(b) > 0 || last {
		t.Fatalf("an empty queue gave %q, last %v", b, last)
	}
	o.update((*connStatus).addPending)
	o.update(func(st *connStatus) { st.shutdown(closeFrame(1001, "")) })
	if b, last := o.fill(nil); len(b) > 0 || last {
		t.Fatalf("while a reply is pending: %q, last %v", b, last)
	}
	o.update(func(st *connStatus) {
		st.queue(frame(frameText, []byte(`{}`)))
		st.donePending()
	})
	b, last := o.fill(nil)
	if want := string(frame(frameText, []byte(`{}`))) + string(closeFrame(1001, "")); string(b) != want || !last {
		t.Fatalf("%q, last %v; want %q", b, last, want)
	}
	if o.sendFrame(frame(framePing, nil)) {
		t.Error("a frame was accepted after the close frame")
	}
}

// TestWaitingOutputIsResumed: output that waits for an answer of a slow peer is resumed after
// pongTimeout, also if an earlier wait has begun within that time and ended by an answer.
func TestWaitingOutputIsResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(newState(), newSocket(nil, time.Minute), time.Minute, nil)
		o.sock.limit.slow.Store(true)
		send := func(n int) (payload []byte) { return o.unread.write(make([]byte, n), true)[n+2:] }
		first := send(100)
		time.Sleep(time.Millisecond)
		o.pong(first)
		<-o.wake
		begin := time.Now()
		ping := send(10 << 20)
		if !o.outputWaits() {
			t.Fatal("output does not wait for the answer")
		}
		const later = 700 * time.Millisecond
		time.Sleep(later)
		o.pong(ping)
		<-o.wake
		if o.outputWaits() {
			t.Fatal("output waits after the answer")
		}
		send(10 << 20)
		for o.outputWaits() {
			<-o.wake
		}
		if waited := time.Since(begin); waited != later+pongTimeout {
			t.Errorf("output waited until %v, want %v", waited, later+pongTimeout)
		}
	})
}
