package leader

import (
	"errors"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peekChild returns ECHILD if another part of this process has reaped a child that has exited.
func peekChild(pid int) error {
	_, err := waitid(pid, unix.WNOHANG)
	return err
}

// AwaitChild blocks a thread until a child has exited, and does not reap it.
func AwaitChild(pid int) error {
	_, err := waitid(pid, 0)
	return err
}

// Discard kills a child that is not in use yet, waits for its exit and reaps it.
func Discard(pid int) {
	_ = unix.Kill(pid, unix.SIGKILL)
	_ = AwaitChild(pid)
	Reaping.Lock()
	defer Reaping.Unlock()
	_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
}

// DiscardGroup is Discard for the process group of a child that leads it and is not reaped, and all of
// whose members are children of this process. It waits for the exit of all of them. A child that was
// killed before it could make the group is reaped, too.
//
// The children that are not reaped yet keep the number of the group from being used again. After the
// last one it could be used, but numbers are given out in ascending order, so not at once.
func DiscardGroup(pid int) {
	_ = unix.Kill(-pid, unix.SIGKILL)
	_ = unix.Kill(pid, unix.SIGKILL)
	_ = AwaitChild(pid)
	if group, err := unix.Getpgid(pid); err == nil && group != pid {
		Discard(pid)
	}
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PGID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if err != nil && err != unix.EINTR {
			return
		}
		Reaping.Lock()
		_, _ = syscall.Wait4(-pid, nil, syscall.WNOHANG, nil)
		Reaping.Unlock()
	}
}

// hasExited reports whether a child that no goroutine reaps meanwhile has exited with all its
// threads.
func hasExited(pid int) bool {
	is, err := waitid(pid, unix.WNOHANG)
	return is || errors.Is(err, unix.ECHILD)
}

// peekExit returns the exit status of a child that has exited and is not reaped.
func peekExit(pid int) (code int, sig syscall.Signal, known bool) {
	const exited, killed, dumped, status = 1, 2, 3, 24 // CLD_…, and the offset of si_status in a siginfo_t
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

// waitid reports whether a child has exited, and does not reap it.
func waitid(pid, options int) (bool, error) {
	var info unix.Siginfo // remains zero with WNOHANG while the child runs
	err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|options, nil)
	for err == unix.EINTR {
		err = unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|options, nil)
	}
	return info.Signo != 0, os.NewSyscallError("waitid", err)
}
