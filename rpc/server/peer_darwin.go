package server

import (
	"net"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// unixPeer returns the process at the other end of a Unix socket (LOCAL_PEERCRED and LOCAL_PEERPID,
// unix(4)).
func unixPeer(c *net.UnixConn) access.Peer {
	p := access.Peer{Unix: true}
	raw, err := c.SyscallConn()
	if err != nil {
		return p
	}
	_ = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
		if err != nil || cred.Ngroups < 1 {
			return
		}
		pid, err := unix.GetsockoptInt(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERPID)
		if err == nil {
			p.Known, p.UID, p.GID, p.PID = true, int(cred.Uid), int(cred.Groups[0]), pid
		}
	})
	return p
}
