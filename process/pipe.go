package process

import (
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrWouldBlock is what TryRead returns for an empty pipe that somebody may still write to.
const ErrWouldBlock = unix.EAGAIN

const (
	largeRead = 32 << 10  // a read of this many bytes tells a writer of much,
	largePipe = 256 << 10 // for whom the pipe grows to this many, once
)

// Pipe is the read end of a tree's output, a pipe or a terminal. It borrows a buffer only when there is something to read, so an
// idle pipe holds none. One goroutine reads; SetReadDeadline and Close may be called from any.
type Pipe struct {
	file *os.File
	conn syscall.RawConn

	// A read in progress. The callbacks are made once: a closure for each read would be garbage for each.
	attempt func(fd uintptr) bool
	once    func(fd uintptr)
	lend    func() []byte
	n       int
	err     error
	grown   bool
}

// newPipe takes over fd, which is non-blocking.
func newPipe(fd int, name string) *Pipe {
	r := &Pipe{file: os.NewFile(uintptr(fd), name)}
	r.conn, _ = r.file.SyscallConn() // fails for a nil file only
	r.attempt = r.readOnce
	r.once = func(fd uintptr) { r.readOnce(fd) }
	return r
}

// ReadReady waits until there is something to read, and only then borrows a buffer, not empty, from lend
// and reads into it once: n is at least 1 with a nil error. Errors: io.EOF at the end, when the last writer
// closed; os.ErrDeadlineExceeded at the deadline, whatever there is to read; os.ErrClosed after Close. lend
// may have been called with any of them but the deadline.
func (r *Pipe) ReadReady(lend func() []byte) (n int, err error) {
	r.lend, r.n, r.err = lend, 0, nil
	err = r.conn.Read(r.attempt)
	return r.done(err)
}

// TryRead is ReadReady without the wait and without regard to the deadline: ErrWouldBlock when there is
// nothing to read now.
func (r *Pipe) TryRead(lend func() []byte) (n int, err error) {
	r.lend, r.n, r.err = lend, 0, nil
	err = r.conn.Control(r.once)
	return r.done(err)
}

// Unread reports whether there is something to read that somebody wrote who may still write more. It may be called
// from any goroutine, and does not wait.
func (r *Pipe) Unread() (some bool) {
	_ = r.conn.Control(func(fd uintptr) {
		fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds[:], 0)
		some = n > 0 && err == nil && fds[0].Revents&unix.POLLIN != 0 && fds[0].Revents&unix.POLLHUP == 0
	})
	return some
}

// SetReadDeadline bounds ReadReady, a waiting one too; the zero time is no bound.
func (r *Pipe) SetReadDeadline(t time.Time) error { return r.file.SetReadDeadline(t) }

// Close closes the read end: the tree's next write gets SIGPIPE or EPIPE.
func (r *Pipe) Close() error { return r.file.Close() }

func (r *Pipe) done(err error) (int, error) {
	r.lend = nil
	switch {
	case err == nil:
		return r.n, r.err
	case os.IsTimeout(err):
		return 0, os.ErrDeadlineExceeded
	default:
		return 0, os.ErrClosed
	}
}

// readOnce reads if the pipe is not dry, and is false if it is. The poller calls it first without having
// waited, and must, since its notice of what came before is gone by then; so poll(2) looks before a buffer
// is borrowed. That costs 4 % of what a bare pipe carries in 64 KiB reads, under 1 % of the whole way of a
// byte. FIONREAD would not do: it takes the lock that a writer copies under, and can't tell the end from dry.
func (r *Pipe) readOnce(fd uintptr) bool {
	if !readable(int(fd)) {
		r.err = ErrWouldBlock
		return false
	}
	buf := r.lend()
	r.n, r.err = unix.Read(int(fd), buf)
	for r.err == unix.EINTR {
		r.n, r.err = unix.Read(int(fd), buf)
	}
	switch {
	case r.err == nil && r.n == 0, r.err == unix.EIO: // a terminal that nobody has open any more (pty(7))
		r.n, r.err = 0, io.EOF
	case r.err != nil:
		r.n = 0
	case r.n >= largeRead && !r.grown:
		r.grown = true
		growPipe(int(fd))
	}
	return r.err != ErrWouldBlock
}

// readable says whether a read would return at once, be it with the end of file.
func readable(fd int) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds[:], 0)
	return n > 0 || err != nil && err != unix.EINTR && err != unix.EAGAIN
}
