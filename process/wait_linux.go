package process

import (
	"errors"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// awaitExit waits in the runtime's poller: a pidfd is readable once its process exited (pidfd_open(2)), so
// a thousand sleeping children hold no thread. Without one it blocks a thread in waitid(2).
func (l *leader) awaitExit() error {
	if l.handle == nil {
		_, err := exited(l.pid, 0)
		return err
	}
	conn, err := l.handle.SyscallConn()
	if err != nil {
		return os.ErrClosed
	}
	if conn.Read(ended) != nil {
		return os.ErrClosed
	}
	_, err = exited(l.pid, unix.WNOHANG) // or did someone else reap it?
	return err
}

// ended reports whether the process of a pidfd has. It is called with little left of a small stack: waitid(2),
// which has a large result, would double that of every waiting goroutine.
func ended(pidfd uintptr) bool { return readable(int(pidfd)) }

// hasExited says whether a child that nobody reaps meanwhile is dead: all of its threads are.
func hasExited(pid int) bool {
	is, err := exited(pid, unix.WNOHANG)
	return is || errors.Is(err, unix.ECHILD)
}

// peekExit is how a child ended that is dead and not reaped; known is false for any other.
func peekExit(pid int) (code int, sig syscall.Signal, known bool) {
	const exited, killed, dumped, status = 1, 2, 3, 24 // CLD_…, and the place of si_status in a siginfo_t
	var info unix.Siginfo
	if unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil) != nil {
		return -1, 0, false
	}
	value := int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), status)))
	switch info.Code {
	case exited:
		return value, 0, true
	case killed, dumped:
		return -1, syscall.Signal(value), true
	}
	return -1, 0, false
}

// exited asks for the exit of a child and leaves it to be reaped.
func exited(pid, options int) (bool, error) {
	var info unix.Siginfo // all zero after WNOHANG for a child that runs
	err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|options, nil)
	for err == unix.EINTR {
		err = unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|options, nil)
	}
	return info.Signo != 0, os.NewSyscallError("waitid", err)
}
