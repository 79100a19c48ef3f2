package server

import "golang.org/x/sys/unix"

// boundUnsent sets TCP_NOTSENT_LOWAT (tcp(7)); 0 is the default of the system. It fails for a Unix
// socket, whose buffer is small.
func boundUnsent(fd, bytes int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, bytes)
}

// queuedBytes returns how many bytes the kernel has that the peer's kernel has not acknowledged, or
// for a Unix socket that the peer has not read (SIOCOUTQ, tcp(7)).
func queuedBytes(fd int) int {
	n, _ := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	return n
}
