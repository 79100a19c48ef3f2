package process

import (
	"syscall"
	"time"
)

// Exit is how the leader ended, as wait4(2) told it. The times are the leader's and those of the descendants it
// waited for; under Cgroup, those of the whole tree. MaxRSS is the peak of the largest process of those waited for; where
// the memory of the tree was counted by a control group, the peak of that.
type Exit struct {
	Code       int            // 0 to 255; -1 if a signal ended it or if not Known
	Signal     syscall.Signal // what ended it; 0 if it exited
	Known      bool           // false when the kernel did not tell: someone else reaped the leader (ECHILD)
	UserTime   time.Duration
	SystemTime time.Duration
	MaxRSS     int64 // bytes; 0 where it can't be known truly
	Limit      Limit // which of its limits the kernel ended the leader for; "" for none

	ownTime time.Duration // of the leader alone, where it has a limit
}

// peakSlack is how far the kernel's count of a process' memory may be off: before Linux 6.2 each thread keeps up to
// 64 pages to itself.
const peakSlack = 4 << 20

// newExit reads what wait4 gave. A child shares the server's memory until its exec (vfork), and the kernel
// counts that peak as the child's: a MaxRSS not clearly above the server's own at the fork says nothing about the
// child and is dropped.
func newExit(status syscall.WaitStatus, usage *syscall.Rusage, peak int64) Exit {
	e := Exit{
		Code:       status.ExitStatus(),
		Known:      true,
		UserTime:   time.Duration(usage.Utime.Nano()),
		SystemTime: time.Duration(usage.Stime.Nano()),
	}
	if status.Signaled() {
		e.Signal = status.Signal()
	}
	if rss := int64(usage.Maxrss) * maxrssUnit; rss > peak+peakSlack {
		e.MaxRSS = rss
	}
	return e
}

// ownPeak is the server's peak memory in bytes. Taken after the exec it is not below what a child inherited.
func ownPeak() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 1 << 62 // then no figure can be trusted
	}
	return int64(usage.Maxrss) * maxrssUnit
}
