//go:build linux

package main

import (
	"io"
	"net"
	"time"
)

const (
	throttleRead = 64 << 10
	// throttleLag is how far the reader may be behind its schedule. It does not catch up on more,
	// so that the rate is steady.
	throttleLag = 10 * time.Millisecond
)

// throttle reads at a steady rate, in pieces of at most throttleRead bytes.
type throttle struct {
	r    io.Reader
	rate float64 // bytes per second; 0 for no limit
	due  time.Time
}

// Read reads once and then sleeps until the time at which so many bytes are due.
func (t *throttle) Read(p []byte) (int, error) {
	if t.rate == 0 {
		return t.r.Read(p)
	}
	n, err := t.r.Read(p[:min(len(p), throttleRead)])
	if earliest := time.Now().Add(-throttleLag); t.due.Before(earliest) {
		t.due = earliest
	}
	t.due = t.due.Add(time.Duration(float64(n) / t.rate * float64(time.Second)))
	time.Sleep(time.Until(t.due))
	return n, err
}

// dialThrottled connects to a server. The rate of the throttle may be changed between two messages.
func (s *server) dialThrottled(rate float64) (*conn, *throttle, error) {
	var t *throttle
	c, err := s.dialThrough(bulkBuffer, func(c net.Conn) io.Reader {
		t = &throttle{r: c}
		return t
	})
	if err == nil {
		t.rate = rate
	}
	return c, t, err
}
