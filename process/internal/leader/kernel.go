package leader

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Kernel is the system calls that signal a leader and its group, and the list of the group's
// members. Tests replace them.
type Kernel struct {
	Kill        func(pid int, sig syscall.Signal) error
	SignalOne   func(pidfd int, sig syscall.Signal) error // nil if there is none
	SignalGroup func(pidfd int, sig syscall.Signal) error // nil if there is none
	Members     func(pgid int) ([]int, error)             // processes that have not ended
}

func kill(pid int, sig syscall.Signal) error { return unix.Kill(pid, sig) }
