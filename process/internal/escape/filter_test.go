//go:build linux

package escape

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// filterAttempts go around a filter of system calls.
func filterAttempts() []attempt {
	return append([]attempt{
		{name: "make a process by clone3", part: always, try: func(*world) error { return clone3(0) }},
		{name: "enter a namespace with high bits in the flags", part: always, root: true,
			try: func(*world) error {
				fd, err := unix.Open("/proc/self/ns/uts", unix.O_RDONLY, 0)
				if err != nil {
					return err
				}
				return inChild(sys(unix.SYS_SETNS, uintptr(fd)|1<<32, unix.CLONE_NEWUTS|1<<32))
			}},
		{name: "make a user namespace in a child that is traced", part: always, maybe: "user namespaces and ptrace",
			try: func(*world) error {
				return inChild(sys(unix.SYS_PTRACE, syscall.PTRACE_TRACEME), sys(unix.SYS_UNSHARE, unix.CLONE_NEWUSER))
			}},
	}, architectureAttempts()...)
}
