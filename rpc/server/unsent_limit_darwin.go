package server

import "golang.org/x/sys/unix"

// boundUnsent does nothing: Darwin has no such bound.
func boundUnsent(int, int) {}

// queuedBytes returns how many bytes the kernel has that the peer's kernel does not have
// (SO_NWRITE).
func queuedBytes(fd int) int {
	n, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NWRITE)
	return n
}
