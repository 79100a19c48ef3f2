package leader

import (
	"time"

	"golang.org/x/sys/unix"
)

const maxrssUnit = 1024 // getrusage(2): ru_maxrss is in kilobytes

// OwnTime returns the processor time of a process without that of its children, or 0 if it cannot
// be read. It reads the clock by which RLIMIT_CPU is enforced. That clock counts ticks, which on a
// busy machine are several times the scaled times of getrusage(2) and /proc/PID/stat.
func OwnTime(pid int) time.Duration {
	const profiling = 0 // CPUCLOCK_PROF: user and system time
	var t unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|profiling), &t) != nil { // clock_getcpuclockid(3)
		return 0
	}
	return time.Duration(t.Nano())
}
