package server

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/stream"
)

// minQueued is how many bytes the kernel must have queued for a peer before taking some of them
// shows that the peer is alive. The peer's kernel takes fewer, such as pings, even if its program
// hangs.
const minQueued = 4 << 10

// liveness ends the reading from a peer that neither sends nor reads anything for a time. The peer
// is alive if bytes arrive, or if it takes some of those that are queued for it: a peer that reads
// slowly reads and answers pings late. Time in which nothing reads from the socket does not count,
// nor does time in which this process was suspended.
type liveness struct {
	*stream.Deadline
	sock    *socket
	reading atomic.Bool

	// These belong to the lock of the deadline.
	taken  int64 // bytes that the peer's kernel had taken at the last check
	queued int64 // bytes that were queued then
}

// watch returns a liveness with idle as its time, which begins now.
func (s *socket) watch(idle time.Duration) *liveness {
	l := &liveness{sock: s}
	l.Deadline = stream.NewIdleDeadline(idle, l.alive, func() { _ = s.Conn.SetReadDeadline(time.Unix(1, 0)) })
	if s.secure != nil {
		s.secure.NetConn().(*belowTLS).watch(l)
	}
	return l
}

// begin is called before each read from the socket, and restarts the time. end is called after it.
func (l *liveness) begin() {
	l.Touch()
	l.reading.Store(true)
}

func (l *liveness) end() { l.reading.Store(false) }

// alive reports whether the peer has sent or read anything since the last check. The deadline calls
// it when a check is due.
func (l *liveness) alive() bool {
	takes := l.takes()
	return takes || !l.reading.Load() || l.sock.readable()
}

// takes reports whether the peer has taken some of the bytes that were queued at the last check.
func (l *liveness) takes() bool {
	queued := int64(l.sock.unsent())
	taken := l.sock.wrote.Load() - queued
	takes := taken > l.taken && l.queued >= minQueued
	l.taken, l.queued = taken, queued
	return takes
}

// readable reports whether bytes have arrived that were not read yet. It is false for a connection
// that is not a plain descriptor.
func (s *socket) readable() (ok bool) {
	s.inspect(func(fd int) {
		fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds[:], 0)
		ok = n > 0 && err == nil
	})
	return ok
}

// unsent returns how many written bytes the peer has not taken.
func (s *socket) unsent() (n int) {
	s.inspect(func(fd int) { n = queuedBytes(fd) })
	return n
}

func (s *socket) inspect(f func(fd int)) {
	if s.raw != nil {
		_ = s.raw.Control(func(fd uintptr) { f(int(fd)) })
	}
}
