package leader

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// System returns the system calls of this machine. Whether groups can be signaled through a pidfd
// is tried once, with signal 0 to the group that this process leads or, without one, to none
// (ESRCH).
var System = sync.OnceValue(func() Kernel {
	k := Kernel{Kill: kill, Members: proctable.GroupMembers}
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return k
	}
	defer unix.Close(fd)
	k.SignalOne = signalOne
	if err := signalGroup(fd, 0); err == nil || err == unix.ESRCH {
		k.SignalGroup = signalGroup
	}
	return k
})

// RequestPidfd makes the fork store the child's pidfd in pidfd, or -1 if there are none.
func RequestPidfd(attr *syscall.SysProcAttr, pidfd *int) { *pidfd, attr.PidFD = -1, pidfd }

func signalOne(pidfd int, sig syscall.Signal) error {
	return unix.PidfdSendSignal(pidfd, sig, nil, 0)
}

const pidfdSignalProcessGroup = 1 << 2 // PIDFD_SIGNAL_PROCESS_GROUP of linux/pidfd.h

func signalGroup(pidfd int, sig syscall.Signal) error {
	return unix.PidfdSendSignal(pidfd, sig, nil, pidfdSignalProcessGroup)
}
