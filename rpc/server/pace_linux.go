package server

import "golang.org/x/sys/unix"

// boundUnsent sets TCP_NOTSENT_LOWAT (tcp(7)); 0 leaves it to the system. It fails for a Unix socket, which
// takes little by itself.
func boundUnsent(fd, bytes int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, bytes)
}

// queuedBytes is what the kernel has of us that the peer's has not, or for a Unix socket that the peer has not read
// (SIOCOUTQ, tcp(7)).
func queuedBytes(fd int) int {
	n, _ := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	return n
}
