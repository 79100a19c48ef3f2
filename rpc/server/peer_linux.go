package server

import (
	"net"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// unixPeer returns the process at the other end of a Unix socket (SO_PEERCRED, unix(7)).
func unixPeer(c *net.UnixConn) access.Peer {
	p := access.Peer{Unix: true}
	raw, err := c.SyscallConn()
	if err != nil {
		return p
	}
	_ = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil {
			p.Known, p.UID, p.GID, p.PID = true, int(cred.Uid), int(cred.Gid), int(cred.Pid)
		}
	})
	return p
}
