package process

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// awaitExit blocks a thread in kevent(2): waitid(2) returns for stopped children too here (go.dev/issue/19314).
// NOTE_EXIT may come a moment before the child can be reaped, which the process table tells.
func (l *leader) awaitExit() error {
	kq, err := unix.Kqueue()
	if err != nil {
		return os.NewSyscallError("kqueue", err)
	}
	defer unix.Close(kq)
	unix.CloseOnExec(kq)
	events := make([]unix.Kevent_t, 1)
	unix.SetKevent(&events[0], l.pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	events[0].Fflags = unix.NOTE_EXIT
	for {
		_, err = unix.Kevent(kq, events, events, nil)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil && err != unix.ESRCH { // ESRCH: it exited before
		return os.NewSyscallError("kevent", err)
	}
	for {
		zombie, err := proctable.Zombie(l.pid)
		if err != nil {
			return syscall.ECHILD
		}
		if zombie {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}

// hasExited says whether a child that nobody reaps meanwhile is dead.
func hasExited(pid int) bool {
	zombie, err := proctable.Zombie(pid)
	return err != nil || zombie
}

// peekExit is how a child ended that is dead and not reaped, which is not to be known here.
func peekExit(int) (code int, sig syscall.Signal, known bool) { return -1, 0, false }
