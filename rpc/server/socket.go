package server

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/stream"
)

// looks is how often in its timeout a write that waits is looked at.
const looks = 4

// socket is the one place that writes to a connection. Its deadline is on progress: a write fails when no
// byte went for the timeout, however long the whole takes. What the peer takes out of the kernel counts, for the
// kernel asks for more only when much of its megabytes is free, and with pace when all of them are: a peer that
// reads slowly and steadily need not get that far in time.
type socket struct {
	net.Conn
	raw     syscall.RawConn // nil for a connection that is no plain descriptor (TLS)
	timeout time.Duration
	wrote   atomic.Int64 // bytes that the kernel took

	// What one write needs, here so that a write allocates nothing. One goroutine writes.
	rest   []byte
	err    error
	armed  bool
	moved  time.Time // when progress was last seen, while armed
	look   time.Time // when there is to be another look
	queued int       // in the kernel, then
	pace   pacer
	step   func(fd uintptr) bool
}

func newSocket(c net.Conn, timeout time.Duration) *socket {
	s := &socket{Conn: c, timeout: timeout}
	if sc, ok := c.(syscall.Conn); ok {
		s.raw, _ = sc.SyscallConn()
	}
	s.step = s.writeSome
	return s
}

// write writes all of b. os.ErrDeadlineExceeded says that the peer takes nothing.
func (s *socket) write(b []byte) error {
	if s.raw == nil {
		return s.writeParts(b)
	}
	s.rest, s.err = b, nil
	err := s.raw.Write(s.step)
	for errors.Is(err, os.ErrDeadlineExceeded) { // it is time for a look
		_ = s.Conn.SetWriteDeadline(time.Time{})
		err = s.raw.Write(s.step)
	}
	s.rest = nil
	if s.armed {
		s.armed = false
		_ = s.Conn.SetWriteDeadline(time.Time{})
	}
	if s.err != nil {
		return s.err
	}
	return err
}

// writeSome writes until all is written, the peer is stuck or the kernel takes no more. A write that never
// blocks sets no deadline at all.
func (s *socket) writeSome(fd uintptr) bool {
	progress := false
	for len(s.rest) > 0 {
		n, err := syscall.Write(int(fd), s.rest)
		switch {
		case n > 0:
			s.rest = s.rest[n:]
			s.wrote.Add(int64(n))
			s.pace.wrote(n)
			progress = true
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			s.pace.blocked(int(fd))
			return s.stuck(int(fd), progress)
		default:
			s.err = os.NewSyscallError("write", err)
			return true
		}
	}
	return true
}

// stuck reports whether nothing has gone for the timeout; else it sees that there is another look.
func (s *socket) stuck(fd int, progress bool) bool {
	now, queued, pause := time.Now(), queuedBytes(fd), s.timeout/looks
	if s.armed && stream.Suspended(s.look, now, pause) { // and maybe the peer with us
		s.moved = s.moved.Add(now.Sub(s.look) + pause)
	}
	switch {
	case progress, !s.armed, queued < s.queued:
		s.moved = now
	case now.Sub(s.moved) >= s.timeout:
		s.err = os.ErrDeadlineExceeded
		return true
	}
	s.armed, s.queued, s.look = true, queued, now.Add(pause)
	_ = s.Conn.SetWriteDeadline(s.look)
	return false
}

// writeParts is for connections whose descriptor is not the wire: small parts, each under a deadline.
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

// linger tells the peer that nothing more comes and reads on until the peer has closed too, or d has passed:
// closing with unread input would reset the connection, and the peer would lose our last words.
func (s *socket) linger(d time.Duration) {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	bound := time.AfterFunc(d, func() { _ = s.Conn.Close() })
	defer bound.Stop()
	_, _ = io.Copy(io.Discard, s.Conn)
}

// libraryConn is what the WebSocket library is given as its connection. It reads from the socket itself. Its
// writes, which are control frames, go to the outbox: the library would wait for its own turn at a socket
// that is stuck and die of that, although the peer is well. Its Close closes nothing: the outbox does when
// it has written what it has.
type libraryConn struct {
	*socket
	outbox *outbox
	idle   time.Duration // the longest time without a sign of life
	peer   *liveness     // from begin on

	once   sync.Once
	closed chan struct{}
}

func (c *libraryConn) Read(b []byte) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	return c.peer.read(b)
}

// begin begins to watch the peer, until Close.
func (c *libraryConn) begin() {
	_ = c.Conn.SetDeadline(time.Time{})
	c.peer = c.watch(c.idle)
}

func (c *libraryConn) Write(b []byte) (int, error) {
	if !c.outbox.sendFrame(checkedEcho(append([]byte(nil), b...))) {
		return 0, net.ErrClosed
	}
	return len(b), nil
}

func (c *libraryConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.peer.Stop()
	})
	return nil
}
