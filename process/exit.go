package process

import (
	"syscall"
	"time"
)

// Exit is how the leader ended (wait4(2)). The times are those of the leader and of the descendants
// it waited for; under Cgroup they are those of the whole tree. MaxRSS is the peak of the largest
// of these processes, or the peak of the whole tree if a cgroup counts its memory.
type Exit struct {
	Code       int            // 0 to 255; -1 if a signal ended the leader or Known is false
	Signal     syscall.Signal // the signal that ended the leader; 0 if it exited
	Known      bool           // false if other code of this process has reaped the leader (ECHILD)
	UserTime   time.Duration
	SystemTime time.Duration
	MaxRSS     int64 // in bytes; 0 if it is not known
	Limit      Limit // the limit for which the kernel ended the leader; "" for none

	ownTime time.Duration // processor time of the leader alone, if its processor time is limited
}

// peakSlack is the error of the kernel's count of the memory of a process: before Linux 6.2 each
// thread caches up to 64 pages.
const peakSlack = 4 << 20

// newExit converts the result of wait4(2). A child shares the memory of the server until its exec
// (vfork(2)), and the kernel counts that peak as the child's. So a MaxRSS that is not clearly above
// peak, the server's own peak at the fork, is dropped.
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

// ownPeak returns the peak memory of this process in bytes. If it is called after the exec of a
// child, it is not below what the child inherited.
func ownPeak() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 1 << 62 // newExit drops every MaxRSS
	}
	return int64(usage.Maxrss) * maxrssUnit
}
