package client

import "golang.org/x/sys/unix"

// queuedBytes is what was written to a socket and not acknowledged.
func queuedBytes(fd int) int {
	n, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NWRITE)
	return n
}
