package process

import (
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrWouldBlock is returned by TryRead if the pipe is empty and still has a writer.
const ErrWouldBlock = unix.EAGAIN

const (
	// After the first read of at least largeRead bytes, the pipe is enlarged to largePipe bytes.
	largeRead = 32 << 10
	largePipe = 256 << 10
)

// Pipe is the read end of the output of a tree, which is a pipe or a terminal. It borrows a buffer
// only when there is something to read, so an idle pipe holds none. One goroutine at a time may
// read; the other methods may be called from any goroutine.
type Pipe struct {
	file *os.File
	conn syscall.RawConn

	// The callbacks of conn. They are created once, since a closure for each read would be an
	// allocation for each.
	readCallback    func(fd uintptr) bool
	controlCallback func(fd uintptr)

	// The read in progress.
	lend func() []byte
	n    int
	err  error

	grown bool // enlarged to largePipe
}

// newPipe returns a Pipe that owns fd, which is non-blocking.
func newPipe(fd int, name string) *Pipe {
	r := &Pipe{file: os.NewFile(uintptr(fd), name)}
	r.conn, _ = r.file.SyscallConn() // fails only for a nil file
	r.readCallback = r.readOnce
	r.controlCallback = func(fd uintptr) { r.readOnce(fd) }
	return r
}

// ReadReady waits until there is something to read, and only then calls lend for a buffer, which
// must not be empty, and reads into it once. If err is nil, n is at least 1. The error is io.EOF
// after the last writer has closed its end, os.ErrDeadlineExceeded once the deadline has passed,
// even if there is something to read, or os.ErrClosed after Close. lend may have been called also
// if there is an error, except at the deadline.
func (r *Pipe) ReadReady(lend func() []byte) (n int, err error) {
	r.lend, r.n, r.err = lend, 0, nil
	err = r.conn.Read(r.readCallback)
	return r.result(err)
}

// TryRead is like ReadReady, but does not wait and ignores the deadline. The error is ErrWouldBlock
// if there is nothing to read.
func (r *Pipe) TryRead(lend func() []byte) (n int, err error) {
	r.lend, r.n, r.err = lend, 0, nil
	err = r.conn.Control(r.controlCallback)
	return r.result(err)
}

// Unread reports whether there is something to read and a writer is left. It does not wait.
func (r *Pipe) Unread() (some bool) {
	_ = r.conn.Control(func(fd uintptr) {
		fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds[:], 0)
		some = n > 0 && err == nil && fds[0].Revents&unix.POLLIN != 0 && fds[0].Revents&unix.POLLHUP == 0
	})
	return some
}

// SetReadDeadline sets the deadline of ReadReady, including a call in progress. The zero time is no
// deadline.
func (r *Pipe) SetReadDeadline(t time.Time) error { return r.file.SetReadDeadline(t) }

// Close closes the read end. The next write of the tree fails with SIGPIPE or EPIPE.
func (r *Pipe) Close() error { return r.file.Close() }

func (r *Pipe) result(err error) (int, error) {
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

// readOnce reads once. It returns false if the pipe is empty, so that the poller waits and calls it
// again.
//
// The poller calls it first without waiting, since an event from before the call is lost. So
// poll(2) checks the pipe before a buffer is borrowed. This costs 4 % of the throughput of a bare
// pipe in reads of 64 KiB, and less than 1 % of the whole output path. FIONREAD is not an
// alternative: it takes the lock under which a writer copies, and does not distinguish the end from
// an empty pipe.
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
	case r.err == nil && r.n == 0, r.err == unix.EIO: // EIO: a terminal of which no slave is open (pty(7))
		r.n, r.err = 0, io.EOF
	case r.err != nil:
		r.n = 0
	case r.n >= largeRead && !r.grown:
		r.grown = true
		growPipe(int(fd))
	}
	return r.err != ErrWouldBlock
}

// readable reports whether a read does not block. At the end of file it does not.
func readable(fd int) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds[:], 0)
	return n > 0 || err != nil && err != unix.EINTR && err != unix.EAGAIN
}
