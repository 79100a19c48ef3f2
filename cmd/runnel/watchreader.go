package main

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// errReaderClosed is the error of a verb that has noticed that the reader of its stdout has exited.
// It is that of a write.
var errReaderClosed error = &os.PathError{Op: "write", Path: "stdout", Err: syscall.EPIPE}

// watchReader calls closed once, on another goroutine, when the reader of a pipe, or the terminal,
// is gone. A verb that waits for more to print would otherwise notice it only when there is more:
// `runnel logs -f ID | head -1` would not end. stop ends the watch.
func watchReader(w io.Writer, closed func()) (stop func()) {
	file, ok := w.(*os.File)
	if !ok {
		return func() {}
	}
	fd, err := descriptor(file)
	if err != nil {
		return func() {}
	}
	stopped, stopper, err := os.Pipe()
	if err != nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if awaitHangup(fd, int(stopped.Fd())) {
			closed()
		}
	}()
	return func() {
		_ = stopper.Close()
		<-done
		_ = stopped.Close()
	}
}

// descriptor returns the descriptor of a file, and leaves its mode as it is, unlike File.Fd.
func descriptor(file *os.File) (fd int, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = raw.Control(func(n uintptr) { fd = int(n) })
	return fd, err
}

// awaitHangup waits until one of the descriptors reports a hangup or an error, and reports whether
// it was the first.
func awaitHangup(fd, stopped int) bool {
	const gone = unix.POLLERR | unix.POLLHUP
	for {
		fds := []unix.PollFd{{Fd: int32(fd)}, {Fd: int32(stopped)}}
		_, err := unix.Poll(fds, -1)
		switch {
		case err == unix.EINTR:
		case err != nil, fds[1].Revents != 0, fds[0].Revents&gone == 0: // or stdout is not open
			return false
		default:
			return true
		}
	}
}
