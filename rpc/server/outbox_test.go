package server

import (
	"testing"
	"time"
)

// TestNothingIsLeftBehindTheCloseFrame: a reply that is sent, and the finish behind it, after the control lane
// was looked at and before the output lanes are, goes out before the close frame all the same.
func TestNothingIsLeftBehindTheCloseFrame(t *testing.T) {
	o := newOutbox(newSocket(nil, time.Minute), time.Minute, nil)
	if b, over := o.fillControl(nil); len(b) > 0 || over {
		t.Fatalf("an empty lane gave %q, over %v", b, over)
	}
	o.send([]byte(`{}`))
	o.finish(closeFrame(1001, ""))
	if l, last := o.nextLane(); l != nil || last != nil {
		t.Fatalf("the close frame %x is ahead of the reply", last)
	}
	b, over := o.fill(nil)
	if want := string(frame(frameText, []byte(`{}`))) + string(closeFrame(1001, "")); string(b) != want || !over {
		t.Fatalf("%q, over %v; want %q", b, over, want)
	}
}
