package server

import "golang.org/x/sys/unix"

// boundUnsent does nothing: a reply to a slow peer may wait behind what the kernel has taken.
func boundUnsent(int, int) {}

// queuedBytes is what the kernel has of us that the peer's has not.
func queuedBytes(fd int) int {
	n, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NWRITE)
	return n
}
