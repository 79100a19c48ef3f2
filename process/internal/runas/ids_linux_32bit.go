//go:build linux && (386 || arm)

package runas

import "golang.org/x/sys/unix"

// The system calls with ids of 32 bits.
const (
	sysSetgroups = unix.SYS_SETGROUPS32
	sysSetresgid = unix.SYS_SETRESGID32
	sysSetresuid = unix.SYS_SETRESUID32
	sysGetresgid = unix.SYS_GETRESGID32
	sysGetresuid = unix.SYS_GETRESUID32
	sysSetfsgid  = unix.SYS_SETFSGID32
	sysSetfsuid  = unix.SYS_SETFSUID32
)
