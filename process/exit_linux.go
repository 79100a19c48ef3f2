package process

import (
	"time"

	"golang.org/x/sys/unix"
)

const maxrssUnit = 1024 // getrusage(2): ru_maxrss is in kilobytes

// ownTime is the processor time of a process without that of its children, 0 where it is not to be known. It goes by the
// clock that RLIMIT_CPU goes by, which counts ticks: on a machine that is short of processors the ticks are several times
// what getrusage(2) and /proc/PID/stat tell, which scale them to the time that was really had.
func ownTime(pid int) time.Duration {
	const profiling = 0 // CPUCLOCK_PROF, user and system time together
	var t unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|profiling), &t) != nil { // the clock of another process: clock_getcpuclockid(3)
		return 0
	}
	return time.Duration(t.Nano())
}
