package server

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// ownPeer reports whether the other end is a process of this server's user (SO_PEERCRED, unix(7)).
func ownPeer(c *net.UnixConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	own := false
	_ = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		own = err == nil && int(cred.Uid) == os.Geteuid()
	})
	return own
}
