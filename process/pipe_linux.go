package process

import "golang.org/x/sys/unix"

// openPipe returns a blocking pipe that no other child inherits.
func openPipe() (r, w int, err error) {
	var fds [2]int
	if err = unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return -1, -1, err
	}
	return fds[0], fds[1], nil
}

// growPipe enlarges a pipe for fewer, larger reads. Over the user's quota (pipe(7)) it stays as it is.
func growPipe(fd int) { _, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, largePipe) }
