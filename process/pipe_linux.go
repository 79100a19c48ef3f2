package process

import "golang.org/x/sys/unix"

// openPipe returns a blocking pipe that is closed on exec.
func openPipe() (r, w int, err error) {
	var fds [2]int
	if err = unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return -1, -1, err
	}
	return fds[0], fds[1], nil
}

// growPipe enlarges a pipe, for fewer and larger reads. It does nothing if the quota of the user is
// exceeded (pipe(7)).
func growPipe(fd int) { _, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, largePipe) }
