package server

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/stream"
)

// minQueued is how many bytes have to wait in the kernel for a peer before their decrease counts as reading by the peer. A
// smaller amount, such as pings, is taken by the peer's kernel even if the program hangs.
const minQueued = 4 << 10

// liveness cuts a peer off from which there was no sign of life for a time. Signs are that something came, and that
// it took some of what waits for it: a peer that reads slowly gets to our pings late, and answers them late. Time in
// which nobody reads from the socket does not count, and neither does that in which this process was suspended.
type liveness struct {
	*stream.Deadline
	sock    *socket
	reading atomic.Bool
	taken   int64 // by the peer's kernel at the last look, and what was queued then; under the deadline's lock
	queued  int64
}

// watch starts the time of idle.
func (s *socket) watch(idle time.Duration) *liveness {
	l := &liveness{sock: s}
	l.Deadline = stream.NewIdleDeadline(idle, l.alive, func() { _ = s.Conn.SetReadDeadline(time.Unix(1, 0)) })
	return l
}

// read is a read from the socket, which begins the time anew.
func (l *liveness) read(b []byte) (int, error) {
	l.Touch()
	l.reading.Store(true)
	defer l.reading.Store(false)
	return l.sock.Conn.Read(b)
}

func (l *liveness) alive() bool {
	takes := l.takes()
	return takes || !l.reading.Load() || l.sock.unread()
}

// takes reports whether the peer has taken something since the last look of what was queued then.
func (l *liveness) takes() bool {
	queued := int64(l.sock.unsent())
	taken := l.sock.wrote.Load() - queued
	takes := taken > l.taken && l.queued >= minQueued
	l.taken, l.queued = taken, queued
	return takes
}

// unread reports whether something came that was not read yet. Of a connection that is no plain descriptor it knows
// nothing.
func (s *socket) unread() (some bool) {
	s.inspect(func(fd int) {
		fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds[:], 0)
		some = n > 0 && err == nil
	})
	return some
}

// unsent is how many bytes of ours the peer has not taken.
func (s *socket) unsent() (n int) {
	s.inspect(func(fd int) { n = queuedBytes(fd) })
	return n
}

func (s *socket) inspect(f func(fd int)) {
	if s.raw != nil {
		_ = s.raw.Control(func(fd uintptr) { f(int(fd)) })
	}
}
