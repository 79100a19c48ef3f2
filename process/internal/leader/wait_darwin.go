package leader

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const stateZombie = 5 // SZOMB of sys/proc.h

// AwaitChild blocks a thread in kevent(2): waitid(2) returns for stopped children too
// (go.dev/issue/19314). NOTE_EXIT may come shortly before the child can be reaped, so AwaitChild
// then polls the process table.
func AwaitChild(pid int) error {
	kq, err := unix.Kqueue()
	if err != nil {
		return os.NewSyscallError("kqueue", err)
	}
	defer unix.Close(kq)
	unix.CloseOnExec(kq)
	events := make([]unix.Kevent_t, 1)
	unix.SetKevent(&events[0], pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	events[0].Fflags = unix.NOTE_EXIT
	for {
		_, err = unix.Kevent(kq, events, events, nil)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil && err != unix.ESRCH { // ESRCH: it has exited already
		return os.NewSyscallError("kevent", err)
	}
	for {
		info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
		if err != nil {
			return syscall.ECHILD
		}
		if info.Proc.P_stat == stateZombie {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}

// peekChild is not called, since there are no pidfds.
func peekChild(int) error { return nil }

// hasExited reports whether a child that no goroutine reaps meanwhile has exited.
func hasExited(pid int) bool {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	return err != nil || info.Proc.P_stat == stateZombie
}

// peekExit is unavailable: known is false.
func peekExit(int) (code int, sig syscall.Signal, known bool) { return -1, 0, false }
