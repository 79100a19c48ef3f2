package watch

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/poller"
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
	return New(os.NewFile(uintptr(fd), "pidfd"), func(fd uintptr) bool { return poller.Readable(int(fd)) })
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
