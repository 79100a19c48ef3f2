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
	// silentPings is how many ping intervals the server may be silent.
	silentPings = 3
	// minSilence is the shortest silence that ends a connection, however often the server pings.
	minSilence = time.Second
	// maxPingInterval is the longest interval of the server's pings that is relied on. Where the server pings
	// less often, or does not say how often, the client pings at this interval.
	maxPingInterval = time.Minute
	// writeTimeout is how long a write may make no progress.
	writeTimeout = 30 * time.Second
	// looks is in how many parts the wait for the server is divided.
	looks = 6
	// lastLook is how long the last read of a silent connection waits.
	lastLook = 10 * time.Millisecond
)

// SilentError says that a connection was given up because nothing was received on it for three ping intervals, or
// because nothing could be sent for 30 seconds. It comes wrapped in ErrClosed.
type SilentError struct {
	Sending bool
	For     time.Duration
}

func (e *SilentError) Error() string {
	if e.Sending {
		return fmt.Sprintf("the server is silent: it took nothing for %v", e.For)
	}
	return fmt.Sprintf("the server is silent: nothing was received for %v", e.For)
}

// silence returns how long the server may be silent whose pings are interval seconds apart, and how often the client
// has to ping; ping is 0 where the server's own pings suffice.
func silence(interval float64) (limit, ping time.Duration) {
	every := maxPingInterval
	if interval > 0 && interval <= maxPingInterval.Seconds() {
		every = time.Duration(interval * float64(time.Second))
	} else {
		ping = every
	}
	return max(silentPings*every, minSilence), ping
}

// socket is the connection below WebSocket and TLS. It judges the server by single bytes: a read fails with a
// *SilentError when nothing was received for the limit, a write when nothing was taken for writeTimeout. Each wait is
// divided into looks that are counted, so the time in which this process was suspended does not count. Nor does the
// time between two reads.
type socket struct {
	net.Conn
	raw   syscall.RawConn // nil for a connection without a descriptor
	limit time.Duration   // 0 for none; set by the goroutine that reads
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
	if s.limit == 0 {
		return s.Conn.Read(b)
	}
	wait := s.limit / looks
	for quiet := 0; ; {
		if quiet == looks { // what came before the clock ran out is read all the same
			wait = lastLook
		}
		end := time.Now().Add(wait)
		_ = s.Conn.SetReadDeadline(end)
		n, err := s.Conn.Read(b)
		switch {
		case n > 0 || !errors.Is(err, os.ErrDeadlineExceeded):
			return n, err
		case quiet == looks:
			return 0, &SilentError{For: s.limit}
		case time.Since(end) < wait: // else this process was suspended
			quiet++
		}
	}
}

// try writes what the kernel takes without a wait.
func (s *socket) try(b []byte) (n int) {
	if s.raw == nil {
		return 0
	}
	_ = s.raw.Write(func(fd uintptr) bool {
		for n < len(b) {
			wrote, err := syscall.Write(int(fd), b[n:])
			if err != nil && err != syscall.EINTR { // Write meets it again
				break
			}
			n += max(0, wrote)
		}
		return true
	})
	return n
}

// Write implements io.Writer. It may take as long as it likes while there is progress.
func (s *socket) Write(b []byte) (int, error) {
	const wait = writeTimeout / looks
	n, queued := s.try(b), 0
	if n == len(b) {
		return n, nil
	}
	defer func() { _ = s.Conn.SetWriteDeadline(time.Time{}) }()
	for quiet := 0; ; {
		end := time.Now().Add(wait)
		_ = s.Conn.SetWriteDeadline(end)
		wrote, err := s.Conn.Write(b[n:])
		n += wrote
		if n == len(b) || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		before := queued
		queued = s.queued()
		switch {
		case wrote > 0 || queued < before:
			quiet = 0
		case time.Since(end) < wait:
			quiet++
		}
		if quiet == looks {
			return n, &SilentError{Sending: true, For: writeTimeout}
		}
	}
}

// queued is how many bytes the kernel holds that the server's has not taken. While a write waits, a decrease is
// progress: the kernel asks for more only when much of its buffer is free.
func (s *socket) queued() (n int) {
	if s.raw != nil {
		_ = s.raw.Control(func(fd uintptr) { n = queuedBytes(int(fd)) })
	}
	return n
}
