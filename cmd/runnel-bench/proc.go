//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns the processor time of a process, without that of its children.
func cpuTime(pid int) (time.Duration, error) {
	const cpuclockSched = 2 // the clock id of a process, see clock_getcpuclockid(3) and <linux/posix-timers.h>
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuclockSched), &t); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// timed returns how long f takes, and the processor time that a process uses meanwhile.
func timed(pid int, f func() error) (took, used time.Duration, err error) {
	before, err := cpuTime(pid)
	if err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	if err := f(); err != nil {
		return 0, 0, err
	}
	took = time.Since(begin)
	after, err := cpuTime(pid)
	return took, after - before, err
}

// procFields returns the sum of some fields of a file of /proc/PID whose lines are `Name: NUMBER`.
func procFields(pid int, file string, names ...string) (int, error) {
	path := fmt.Sprintf("/proc/%d/%s", pid, file)
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	sum, found := 0, 0
	s := bufio.NewScanner(f)
	for s.Scan() {
		fields := strings.Fields(s.Text())
		for _, name := range names {
			if len(fields) < 2 || fields[0] != name+":" {
				continue
			}
			n, err := strconv.Atoi(fields[1])
			if err != nil {
				return 0, fmt.Errorf("%s: %w", path, err)
			}
			sum, found = sum+n, found+1
		}
	}
	if err := s.Err(); err != nil {
		return 0, err
	}
	if found != len(names) {
		return 0, fmt.Errorf("%s does not have all of %s", path, strings.Join(names, ", "))
	}
	return sum, nil
}

// privateMemory returns the memory that no other process shares, in KiB (proc_pid_smaps(5)).
func privateMemory(pid int) (int, error) {
	return procFields(pid, "smaps_rollup", "Private_Clean", "Private_Dirty")
}

// openFiles returns the number of open descriptors of a process, and its soft limit.
func openFiles(pid int) (open, limit int, err error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0, 0, err
	}
	var l unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &l); err != nil {
		return 0, 0, err
	}
	return len(entries), int(min(l.Cur, 1<<20)), nil
}
