//go:build linux && !386 && !arm

package runas

import "golang.org/x/sys/unix"

// The system calls with ids of 32 bits.
const (
	sysSetgroups = unix.SYS_SETGROUPS
	sysSetresgid = unix.SYS_SETRESGID
	sysSetresuid = unix.SYS_SETRESUID
	sysGetresgid = unix.SYS_GETRESGID
	sysGetresuid = unix.SYS_GETRESUID
	sysSetfsgid  = unix.SYS_SETFSGID
	sysSetfsuid  = unix.SYS_SETFSUID
)
