package watch

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// maxCompared is how many processes Member compares.
const maxCompared = 64

// Member watches the oldest of some processes, which is likely to outlive the others. Its id may be
// reused before the pidfd is opened, so isMember is called after that. It returns nil if no process
// can be watched.
func Member(pids []int, isMember func(pid int) (bool, error)) *Watch {
	pid := oldest(pids[:min(len(pids), maxCompared)])
	if pid == 0 {
		return nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil
	}
	if is, err := isMember(pid); !is || err != nil || unix.SetNonblock(fd, true) != nil {
		_ = unix.Close(fd)
		return nil
	}
	return New(os.NewFile(uintptr(fd), "pidfd"), PidfdExited)
}

func oldest(pids []int) (pid int) {
	least := uint64(0)
	for _, p := range pids {
		if start := proctable.StartTime(p); start != 0 && (pid == 0 || start < least) {
			pid, least = p, start
		}
	}
	return pid
}

// PidfdExited reports whether the process of a pidfd has exited (pidfd_open(2)). It does not block.
func PidfdExited(pidfd uintptr) bool {
	fds := [1]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds[:], 0)
	return n > 0 || err != nil && err != unix.EINTR && err != unix.EAGAIN
}
