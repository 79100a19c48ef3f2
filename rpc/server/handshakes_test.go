package server

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// delays makes n handshakes at once and returns the delays of the last two.
func (h *handshakes) delays(principal string, others bool, n int) (last, next time.Duration) {
	for range n {
		last, next = next, h.begin(principal, others)
	}
	return last, next
}

// TestHandshakesAreDelayedWhileOthersAreActive: a principal may make as many handshakes at once as
// there may be connections, and then as many as handshakeRate permits, while another one is active.
func TestHandshakesAreDelayedWhileOthersAreActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const burst = 100
		h := newHandshakes(burst)
		h.rate = 200
		interval := time.Second / 200
		if _, d := h.delays("a", false, 10*burst); d != 0 {
			t.Errorf("a principal that is alone is delayed by %v", d)
		}
		if _, d := h.delays("b", false, burst); d != 0 {
			t.Errorf("the first handshakes of b are delayed by %v", d)
		}
		if d1, d2 := h.delays("a", false, 2); d1 != interval || d2 != 2*interval {
			t.Errorf("delays of %v and %v after b was active, want %v and twice that", d1, d2, interval)
		}
		time.Sleep(burst*interval + handshakeActive)
		if d, _ := h.delays("a", false, 5*burst); d != 0 {
			t.Errorf("a delay of %v after b was active", d)
		}
		if d1, d2 := h.delays("a", true, 2); d1 != interval || d2 != 2*interval {
			t.Errorf("delays of %v and %v while others are connected", d1, d2)
		}
		if d1, d2 := h.delays("a", true, 10*burst); d1 != handshakeWait || d2 != handshakeWait {
			t.Errorf("delays of %v and %v, want at most %v", d1, d2, handshakeWait)
		}
		if d := h.begin("b", true); d != 0 {
			t.Errorf("b is delayed by %v because of a", d)
		}
		time.Sleep(handshakeWait + interval)
		if d := h.begin("a", true); d != 0 {
			t.Errorf("a delay of %v after the longest one has passed", d)
		}
	})
}

// TestHandshakesForgetPrincipals: the table has only the principals that were active, or whose
// handshakes could be delayed.
func TestHandshakesForgetPrincipals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandshakes(10)
		h.rate = 1
		has := func(when string, want int) {
			t.Helper()
			h.begin("z", false)
			if len(h.principals) != want+1 {
				t.Errorf("%s there are %d principals, want %d", when, len(h.principals), want+1)
			}
		}
		for _, name := range []string{"a", "b", "c"} {
			h.begin(name, false)
		}
		h.delays("c", false, 10)
		has("at once", 3)
		time.Sleep(handshakeActive + time.Second)
		has("later", 1)
		time.Sleep(10 * time.Second)
		has("at the end", 0)
	})
}

// TestHandshakeLimitPermitsOne: there is always a handshake that is not delayed.
func TestHandshakeLimitPermitsOne(t *testing.T) {
	if h := newHandshakes(1); h.begin("a", true) != 0 || h.rate < rate.Limit(handshakeRate) {
		t.Errorf("the first of a principal is delayed, or the rate %v is wrong", h.rate)
	}
}
