package process

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// awaitExit waits in the runtime's poller: a pidfd is readable once its process exited (pidfd_open(2)), so
// a thousand sleeping children hold no thread. Without one it blocks a thread in waitid(2).
func (l *leader) awaitExit() error {
	if l.handle == nil {
		_, err := exited(unix.P_PID, l.pid, 0)
		return err
	}
	conn, err := l.handle.SyscallConn()
	if err != nil {
		return os.ErrClosed
	}
	var failed error
	err = conn.Read(func(fd uintptr) (done bool) {
		done, failed = exited(unix.P_PIDFD, int(fd), unix.WNOHANG)
		return done || failed != nil
	})
	switch {
	case err != nil:
		return os.ErrClosed
	case errors.Is(failed, syscall.EINVAL): // no P_PIDFD before Linux 5.4
		_, failed = exited(unix.P_PID, l.pid, 0)
	}
	return failed
}

// exited asks for the exit of a child and leaves it to be reaped.
func exited(kind, id, options int) (bool, error) {
	var info unix.Siginfo // all zero after WNOHANG for a child that runs
	err := unix.Waitid(kind, id, &info, unix.WEXITED|unix.WNOWAIT|options, nil)
	for err == unix.EINTR {
		err = unix.Waitid(kind, id, &info, unix.WEXITED|unix.WNOWAIT|options, nil)
	}
	return info.Signo != 0, os.NewSyscallError("waitid", err)
}
