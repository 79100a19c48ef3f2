package bubblewrap

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/leader"
)

// tryEnter forks a child that enters the namespaces and exits.
func (n *Namespaces) tryEnter(fork Forker, observer leader.Observer) error {
	pid, err := fork(func() (int, error) {
		pid, errno := forkSetns(uintptr(n.PIDFD), uintptr(n.Flags))
		if errno != 0 {
			return -1, errno
		}
		return int(pid), nil
	})
	if err != nil {
		return err
	}
	l := leader.New(pid, -1, nil)
	l.Observer = observer
	if err := leader.AwaitChild(pid); err != nil {
		return err
	}
	exit, err := l.Reap()
	switch {
	case err != nil:
		return err
	case exit.Code != 0:
		return syscall.Errno(exit.Code)
	}
	return nil
}

// forkSetns forks a child without the other threads, as CLONE_NEWUSER needs it. The child has a copy
// of the memory in which no other goroutine runs: it may make raw system calls only.
//
//go:norace
//go:nosplit
func forkSetns(pidfd, flags uintptr) (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	_, _, errno = syscall.RawSyscall(unix.SYS_SETNS, pidfd, flags, 0)
	for {
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, uintptr(errno), 0, 0)
	}
}
