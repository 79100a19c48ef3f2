package server

import (
	"context"
	"runtime"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// handshakeRate is how many opening handshakes a principal makes in a second without a delay, for
	// each processor, while another principal is active.
	handshakeRate = 125
	// handshakeWait is the longest delay of a handshake.
	handshakeWait = time.Second
	// handshakeActive is how long a principal without a connection is active after its last handshake.
	handshakeActive = time.Second
)

// handshakes delays the opening handshakes of a principal that makes them at a high rate while another
// one is active: connections that are refused, or closed at once, and made again without a pause,
// would use the processors that others need. As many as there may be connections are not delayed, so
// all connections of a principal can be made again at once. The methods may be called concurrently.
type handshakes struct {
	rate  rate.Limit // of one principal
	burst int
	wait  time.Duration // the constant, but for a test

	mu         sync.Mutex
	principals map[string]*principalHandshakes // those whose limiter is not as new, or that were active
}

type principalHandshakes struct {
	limiter *rate.Limiter
	last    time.Time // when the last handshake began
}

func newHandshakes(maxConnections int) *handshakes {
	return &handshakes{
		rate:       rate.Limit(handshakeRate * runtime.GOMAXPROCS(0)),
		burst:      maxConnections,
		wait:       handshakeWait,
		principals: make(map[string]*principalHandshakes),
	}
}

// begin counts a handshake of a principal, and returns for how long it is to be delayed. others means
// that others are connected.
func (h *handshakes) begin(principal string, others bool) (delay time.Duration) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.principals[principal]
	if p == nil {
		p = &principalHandshakes{limiter: rate.NewLimiter(h.rate, h.burst)}
		h.principals[principal] = p
	}
	p.last = now
	if othersActive := h.othersActive(principal, now); !others && !othersActive {
		p.limiter.AllowN(now, 1)
		return 0
	}
	r := p.limiter.ReserveN(now, 1)
	if delay = r.DelayFrom(now); delay > h.wait {
		r.CancelAt(now) // so that the delay of those that come later does not increase
		return h.wait
	}
	return delay
}

// othersActive reports whether another principal has made a handshake in the last handshakeActive. It
// removes elements that are not needed any more. h.mu is held.
func (h *handshakes) othersActive(principal string, now time.Time) bool {
	for name, p := range h.principals {
		switch {
		case name == principal:
		case now.Sub(p.last) < handshakeActive:
			return true
		case p.limiter.TokensAt(now) >= float64(h.burst):
			delete(h.principals, name)
		}
	}
	return false
}

// awaitHandshake waits until a principal may make another opening handshake. It returns false if the
// connection has ended. While it waits, the connection is the first that is closed for another one,
// so it takes no place from other principals.
func (s *Server) awaitHandshake(ctx context.Context, principal string) bool {
	d := s.handshakes.begin(principal, s.othersConnected(principal))
	if d == 0 {
		return true
	}
	c := connOf(ctx)
	c.closeFirst.Store(true)
	delay(ctx, d)
	c.closeFirst.Store(false)
	return ctx.Err() == nil
}
