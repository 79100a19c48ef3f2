package process

import (
	"time"

	"golang.org/x/sys/unix"
)

const maxrssUnit = 1024 // ru_maxrss is in kilobytes (getrusage(2))

// ownTime returns the processor time of a process without its children, or 0 if it is not known. It
// reads the clock of RLIMIT_CPU, which counts ticks. If processors are overcommitted, the ticks are
// several times the scaled times of getrusage(2) and /proc/PID/stat.
func ownTime(pid int) time.Duration {
	const profiling = 0 // CPUCLOCK_PROF: user and system time
	var t unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|profiling), &t) != nil { // the clock id of a process: clock_getcpuclockid(3)
		return 0
	}
	return time.Duration(t.Nano())
}
