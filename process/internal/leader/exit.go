package leader

import (
	"syscall"
	"time"
)

// Exit is the exit status of a leader and its usage as returned by wait4(2).
type Exit struct {
	Code       int            // 0 to 255; -1 if a signal ended it or if not Known
	Signal     syscall.Signal // the signal that ended it; 0 if it exited
	Known      bool           // false if another part of this process reaped it (ECHILD)
	UserTime   time.Duration  // of the leader and the descendants that it waited for, as the next ones
	SystemTime time.Duration
	MaxRSS     int64         // bytes; 0 if it cannot be known
	OwnTime    time.Duration // processor time of the leader alone; 0 if not Timed
}

// peakSlack is the error of the kernel's count of memory: before Linux 6.2 each thread counts up to
// 64 pages late.
const peakSlack = 4 << 20

// newExit converts the results of wait4(2). A child shares the memory of this process until its
// exec (vfork(2)), and the kernel counts that peak as the child's. So a MaxRSS not clearly above
// the peak of this process says nothing about the child and is dropped.
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

// ownPeak returns the peak memory of this process in bytes. After the exec of a child it is not
// below what the child inherited.
func ownPeak() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 1 << 62 // drops every MaxRSS
	}
	return int64(usage.Maxrss) * maxrssUnit
}
