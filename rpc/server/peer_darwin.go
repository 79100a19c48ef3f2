package server

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// ownPeer reports whether the other end is a process of this server's user (LOCAL_PEERCRED,
// unix(4)).
func ownPeer(c *net.UnixConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	own := false
	_ = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
		own = err == nil && int(cred.Uid) == os.Geteuid()
	})
	return own
}
