package auth

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxGroups is the largest number of supplementary groups of a process (NGROUPS_MAX, limits.h(0p)).
const maxGroups = 65536

// peerGroups returns the supplementary groups of the process at the other end of a Unix socket, as
// they were when it called connect(2) (SO_PEERGROUPS, Linux 4.13). It returns none if they cannot be
// known.
func peerGroups(c syscall.Conn) (all []int) {
	if c == nil {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	_ = raw.Control(func(fd uintptr) {
		for n := 64; n <= maxGroups; n *= 4 {
			gids := make([]uint32, n)
			size := uint32(n) * 4
			_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
				uintptr(unsafe.Pointer(&gids[0])), uintptr(unsafe.Pointer(&size)), 0)
			if errno == unix.ERANGE { // there are more
				continue
			}
			if errno == 0 {
				for _, gid := range gids[:size/4] {
					all = append(all, int(gid))
				}
			}
			return
		}
	})
	return all
}
