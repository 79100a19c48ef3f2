package client

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

const (
	// pingsPerTimeout is how many ping intervals of the server the receive timeout is.
	pingsPerTimeout = 3
	// minReceiveTimeout is the shortest receive timeout, however short the ping interval is.
	minReceiveTimeout = time.Second
	// maxPingInterval is the longest interval of the server's pings that the client relies on. If
	// the interval is longer or unknown, the client pings at this interval.
	maxPingInterval = time.Minute
	// sendTimeout is how long a write may make no progress.
	sendTimeout = 30 * time.Second
	// waitParts is the number of parts that each timeout is divided into. A part that ends late is
	// not counted.
	waitParts = 6
	// finalWait is how long the last read before a timeout waits.
	finalWait = 10 * time.Millisecond
)

// TimeoutError is the error of a connection that was closed because nothing was received for three
// ping intervals, or nothing could be sent for 30 seconds. It is wrapped in ErrClosed.
type TimeoutError struct {
	Sending bool
	After   time.Duration
}

func (e *TimeoutError) Error() string {
	if e.Sending {
		return fmt.Sprintf("server does not respond: nothing could be sent for %v", e.After)
	}
	return fmt.Sprintf("server does not respond: nothing was received for %v", e.After)
}

// receiveTimeout returns the receive timeout for a server that pings every interval seconds, and
// the interval at which the client has to ping, or 0 if the server's pings suffice.
func receiveTimeout(interval float64) (timeout, ping time.Duration) {
	every := maxPingInterval
	if interval > 0 && interval <= maxPingInterval.Seconds() {
		every = time.Duration(interval * float64(time.Second))
	} else {
		ping = every
	}
	return max(pingsPerTimeout*every, minReceiveTimeout), ping
}

// socket is the connection below WebSocket and TLS. A read fails with a *TimeoutError if nothing
// was received for the timeout, a write if no byte was accepted for sendTimeout. A timeout is a
// number of short waits, so that time in which this process was suspended does not count. Nor does
// the time between two reads.
type socket struct {
	net.Conn
	raw     syscall.RawConn // nil if the connection has no descriptor
	timeout time.Duration   // of reads; 0 for none; set by the goroutine that reads
}

func newSocket(c net.Conn) *socket {
	s := &socket{Conn: c}
	if sc, ok := c.(syscall.Conn); ok {
		s.raw, _ = sc.SyscallConn()
	}
	return s
}

// Read implements io.Reader.
func (s *socket) Read(b []byte) (int, error) {
	if s.timeout == 0 {
		return s.Conn.Read(b)
	}
	wait := s.timeout / waitParts
	for idle := 0; ; {
		if idle == waitParts { // read what arrived before the deadline
			wait = finalWait
		}
		end := time.Now().Add(wait)
		_ = s.Conn.SetReadDeadline(end)
		n, err := s.Conn.Read(b)
		switch {
		case n > 0 || !errors.Is(err, os.ErrDeadlineExceeded):
			return n, err
		case idle == waitParts:
			return 0, &TimeoutError{After: s.timeout}
		case time.Since(end) < wait: // else this process was suspended
			idle++
		}
	}
}

// tryWrite writes as much as the kernel accepts without blocking, and returns how much that is.
func (s *socket) tryWrite(b []byte) (n int) {
	if s.raw == nil {
		return 0
	}
	_ = s.raw.Write(func(fd uintptr) bool {
		for n < len(b) {
			written, err := syscall.Write(int(fd), b[n:])
			if err != nil && err != syscall.EINTR { // the next Write returns it
				break
			}
			n += max(0, written)
		}
		return true
	})
	return n
}

// Write implements io.Writer. It has no time limit as long as it makes progress.
func (s *socket) Write(b []byte) (int, error) {
	const wait = sendTimeout / waitParts
	n, queued := s.tryWrite(b), 0
	if n == len(b) {
		return n, nil
	}
	defer func() { _ = s.Conn.SetWriteDeadline(time.Time{}) }()
	for idle := 0; ; {
		end := time.Now().Add(wait)
		_ = s.Conn.SetWriteDeadline(end)
		written, err := s.Conn.Write(b[n:])
		n += written
		if n == len(b) || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		before := queued
		queued = s.queued()
		switch {
		case written > 0 || queued < before:
			idle = 0
		case time.Since(end) < wait: // else this process was suspended
			idle++
		}
		if idle == waitParts {
			return n, &TimeoutError{Sending: true, After: sendTimeout}
		}
	}
}

// queued returns how many bytes this kernel holds that the server's kernel has not accepted. A
// decrease is progress of a write that blocks: the kernel reports a socket as writable only when
// much of its buffer is free.
func (s *socket) queued() (n int) {
	if s.raw != nil {
		_ = s.raw.Control(func(fd uintptr) { n = queuedBytes(int(fd)) })
	}
	return n
}
