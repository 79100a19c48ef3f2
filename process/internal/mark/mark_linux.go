// Package mark contains trees by a resource limit that every descendant inherits, and reaps their
// orphans.
//
// A mark is a soft RLIMIT_RTTIME (getrlimit(2)). That limit applies to processes of the real-time
// schedulers only, and 2^62 µs do not even limit those. A process inherits it by fork(2),
// execve(2), setsid(2) and a change of user, and its user may read it (prlimit(2)). The two highest
// bits of a mark are 01, the next 30 identify the server, and the other 32 the tree.
package mark

import (
	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

const (
	base          = 1 << 62
	instanceShift = 32
	// MaxInstance is the first number that cannot identify a server in a mark.
	MaxInstance = 1 << 30
)

func isMark(v uint64) bool { return v>>62 == 1 }

// Instance returns the number of the server that has set a mark.
func Instance(mark uint64) uint64 { return mark &^ base >> instanceShift }

// Of returns the mark of a tree. Of n, the lower 32 bits are used.
func Of(instance, n uint64) uint64 {
	return base | instance<<instanceShift | n&(1<<instanceShift-1)
}

// Read returns the mark of a process, or 0 if it has none. The error is ESRCH if there is no such
// process.
func Read(pid int) (uint64, error) {
	var limit unix.Rlimit
	err := unix.Prlimit(pid, unix.RLIMIT_RTTIME, nil, &limit)
	if err == unix.EPERM { // it has another user by now
		limit.Cur, err = procfs.RealtimeTimeout(pid)
	}
	if err != nil || !isMark(limit.Cur) {
		return 0, err
	}
	return limit.Cur, nil
}
