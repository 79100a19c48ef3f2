package process

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// withHandle asks for the child's pidfd; -1 if there is none.
func withHandle(attr *syscall.SysProcAttr, pidfd *int) { *pidfd, attr.PidFD = -1, pidfd }

// system is this machine's kernel. The flag is tried once, with signal 0 on our own process id: as a group
// that is us or, if we lead none, nobody; a kernel or a sandbox without it says neither.
var system = sync.OnceValue(func() kernel {
	k := kernel{kill: kill, members: proctable.GroupMembers}
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return k
	}
	defer unix.Close(fd)
	k.signalOne = signalOneBy
	if err := signalGroup(fd, 0); err == nil || err == unix.ESRCH {
		k.signalGroup = signalGroup
	}
	return k
})

func signalOneBy(pidfd int, sig syscall.Signal) error {
	return unix.PidfdSendSignal(pidfd, sig, nil, 0)
}

const pidfdSignalProcessGroup = 1 << 2 // PIDFD_SIGNAL_PROCESS_GROUP of linux/pidfd.h

func signalGroup(pidfd int, sig syscall.Signal) error {
	return unix.PidfdSendSignal(pidfd, sig, nil, pidfdSignalProcessGroup)
}
