package server

import (
	"testing"
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
