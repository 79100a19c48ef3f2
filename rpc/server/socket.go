package server

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/stream"
)

// checksPerTimeout is how often within its timeout a blocked write is checked for progress.
const checksPerTimeout = 4

// socket writes to a connection. Its deadline is on progress: a write fails if no byte is taken for
// the timeout, however long the whole write takes. What the peer takes out of the kernel's buffer
// is progress too: the kernel reports the socket as writable only when a large part of that buffer
// is free, which can take a slow peer longer.
//
// With TLS the socket is below it: what the deadline, the limits and the liveness count is
// ciphertext. A TLS connection cannot be used any more after a write of it has failed in part.
type socket struct {
	net.Conn                 // the connection of the kernel
	secure   *tls.Conn       // TLS above it, or nil
	raw      syscall.RawConn // nil if the connection is not a descriptor
	timeout  time.Duration
	wrote    atomic.Int64 // bytes that the kernel has taken

	// The state of the current write, kept here so that a write allocates nothing. One goroutine
	// writes; with TLS another one may write an answer of TLS itself, under the lock of secure.
	rest     []byte
	err      error
	blocked  bool      // a deadline is set
	progress time.Time // when progress was last seen
	check    time.Time // when progress is checked next
	queued   int       // bytes in the kernel's buffer at the last check
	limit    unsentLimit
	turn     *connTurn             // to which the time of writes counts, or nil
	callback func(fd uintptr) bool // writeSome, for raw.Write
}

// newSocket returns the socket of a connection, from now on its only writer. c is a *tls.Conn that
// newSecureConn has made, or has no TLS.
func newSocket(c net.Conn, timeout time.Duration) *socket {
	s := &socket{timeout: timeout}
	if s.secure, _ = c.(*tls.Conn); s.secure != nil {
		below := s.secure.NetConn().(*belowTLS)
		defer below.use(s)
		c = below.Conn
	}
	s.Conn = c
	if sc, ok := c.(syscall.Conn); ok {
		s.raw, _ = sc.SyscallConn()
	}
	s.callback = s.writeSome
	return s
}

// write writes all of b. The error is os.ErrDeadlineExceeded if the peer takes nothing for the
// timeout.
func (s *socket) write(b []byte) error {
	if s.secure != nil {
		_, err := s.secure.Write(b) // calls writePlain
		return err
	}
	return s.writePlain(b)
}

// writePlain writes all of b to the connection of the kernel.
func (s *socket) writePlain(b []byte) error {
	if s.raw == nil {
		return s.writeParts(b)
	}
	s.rest, s.err = b, nil
	err := s.raw.Write(s.callback)
	for errors.Is(err, os.ErrDeadlineExceeded) {
		_ = s.Conn.SetWriteDeadline(time.Time{})
		err = s.raw.Write(s.callback)
	}
	s.rest = nil
	if s.blocked {
		s.blocked = false
		_ = s.Conn.SetWriteDeadline(time.Time{})
	}
	if s.err != nil {
		return s.err
	}
	return err
}

// writeSome is the function that raw.Write calls at once, and again each time the socket is
// writable, until it returns true. It writes until all is written or the kernel takes no more, and
// reports whether the write has ended. A write that never blocks sets no deadline.
func (s *socket) writeSome(fd uintptr) bool {
	progress := false
	begun := s.turn.now()
	defer s.turn.spent(begun)
	for len(s.rest) > 0 {
		n, err := syscall.Write(int(fd), s.rest)
		switch {
		case n > 0:
			s.rest = s.rest[n:]
			s.wrote.Add(int64(n))
			s.limit.wrote(n)
			progress = true
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			s.limit.blocked(int(fd))
			return s.timedOut(int(fd), progress)
		default:
			s.err = os.NewSyscallError("write", err)
			return true
		}
	}
	return true
}

// timedOut reports whether there was no progress for the timeout. If not, it sets the deadline for
// the next check.
func (s *socket) timedOut(fd int, progress bool) bool {
	now, queued, interval := time.Now(), queuedBytes(fd), s.timeout/checksPerTimeout
	if s.blocked && stream.Suspended(s.check, now, interval) { // that time does not count
		s.progress = s.progress.Add(now.Sub(s.check) + interval)
	}
	switch {
	case progress, !s.blocked, queued < s.queued:
		s.progress = now
	case now.Sub(s.progress) >= s.timeout:
		s.err = os.ErrDeadlineExceeded
		return true
	}
	s.blocked, s.queued, s.check = true, queued, now.Add(interval)
	_ = s.Conn.SetWriteDeadline(s.check)
	return false
}

// writeParts writes to a connection that is not a plain descriptor, in small parts with a deadline
// each.
func (s *socket) writeParts(b []byte) error {
	const part = 16 << 10
	for len(b) > 0 {
		due := time.Now().Add(s.timeout)
		_ = s.Conn.SetWriteDeadline(due)
		n, err := s.Conn.Write(b[:min(part, len(b))])
		b = b[n:]
		late := errors.Is(err, os.ErrDeadlineExceeded) && (n > 0 || stream.Suspended(due, time.Now(), s.timeout))
		if err != nil && !late {
			return err
		}
	}
	return nil
}

// awaitPeerClose shuts down the writing side, that of TLS first (close_notify, RFC 8446 §6.1), and
// reads until the peer has closed too, or d has passed (a lingering close). Closing with unread
// input would reset the connection, and the peer would lose the last frames.
func (s *socket) awaitPeerClose(d time.Duration) {
	bound := time.AfterFunc(d, func() { _ = s.Conn.Close() })
	defer bound.Stop()
	if s.secure != nil && s.secure.CloseWrite() != nil {
		return
	}
	if half, ok := s.Conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	_, _ = io.Copy(io.Discard, s.Conn)
}
