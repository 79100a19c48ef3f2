package client

import "golang.org/x/sys/unix"

// queuedBytes returns the bytes of the send queue that are not acknowledged (SIOCOUTQ, tcp(7)), or
// not read from a Unix socket.
func queuedBytes(fd int) int {
	n, _ := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	return n
}
