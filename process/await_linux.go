package process

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// maxCompared is how many processes of a tree are compared to find the one to watch.
const maxCompared = 64

// watchMember watches the end of one of some processes, the oldest, which is likely to outlive the others. The number may
// have come to be another's before its pidfd was opened: still says whether it is a member's. It returns nil where none
// can be watched.
func watchMember(pids []int, still func(pid int) (bool, error)) *watched {
	pid := oldest(pids[:min(len(pids), maxCompared)])
	if pid == 0 {
		return nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil
	}
	if is, err := still(pid); !is || err != nil || unix.SetNonblock(fd, true) != nil {
		_ = unix.Close(fd)
		return nil
	}
	return &watched{os.NewFile(uintptr(fd), "pidfd"), ended}
}

func oldest(pids []int) (pid int) {
	least := uint64(0)
	for _, p := range pids {
		start := proctable.StartTime(p)
		if start != 0 && (pid == 0 || start < least) {
			pid, least = p, start
		}
	}
	return pid
}

func (m *marker) Watch() *watched {
	orphans, _, _ := m.table.orphansMarked(m.mark)
	if len(orphans) == 0 {
		return m.memberTree.Watch()
	}
	return watchMember(orphans, m.lister.holds)
}

// Watch is told by the kernel when nobody is left in the leaf (cgroup.events).
func (c *cgroup) Watch() *watched {
	if some, err := c.inLeaf(); !some || err != nil {
		return c.memberTree.Watch() // who left it
	}
	fd, err := unix.Open(c.leaf.path()+"/"+eventsFile, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return &watched{os.NewFile(uintptr(fd), eventsFile), unpopulated}
}

// unpopulated also holds where it is not to be known, so that the tree is looked at.
func unpopulated(events uintptr) bool {
	var buf [128]byte
	n, err := unix.Pread(int(events), buf[:], 0)
	return err != nil || field(buf[:n], "populated") == 0
}
