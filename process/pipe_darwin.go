package process

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// openPipe returns a blocking pipe that is closed on exec. The lock prevents a fork before the flag
// is set.
func openPipe() (r, w int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	var fds [2]int
	if err = unix.Pipe(fds[:]); err != nil {
		return -1, -1, err
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	return fds[0], fds[1], nil
}

// growPipe does nothing: the kernel sizes pipes itself.
func growPipe(int) {}
