package client

import "golang.org/x/sys/unix"

// queuedBytes returns the bytes of the send queue that are not acknowledged.
func queuedBytes(fd int) int {
	n, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NWRITE)
	return n
}
