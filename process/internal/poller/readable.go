package poller

import "golang.org/x/sys/unix"

// Readable reports whether a read of a descriptor does not block, also because it is at its end. A
// pidfd is readable when its process has exited (pidfd_open(2)). Readable does not block.
func Readable(fd int) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds[:], 0)
	return n > 0 || err != nil && err != unix.EINTR && err != unix.EAGAIN
}
