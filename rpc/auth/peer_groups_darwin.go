package auth

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// peerGroups returns the groups of the process at the other end of a Unix socket (LOCAL_PEERCRED,
// unix(4)), of which the kernel reports at most 16. It returns none if they cannot be known.
func peerGroups(c syscall.Conn) (all []int) {
	if c == nil {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	_ = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
		if err != nil {
			return
		}
		for _, gid := range cred.Groups[:min(int(cred.Ngroups), len(cred.Groups))] {
			all = append(all, int(gid))
		}
	})
	return all
}
