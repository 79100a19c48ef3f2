//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// othersWarning is the part of the machine's processor time that other processes may use without a
// warning.
const othersWarning = 0.03

// othersMeter measures how much processor time processes other than this one and its descendants
// use, which disturbs all figures. Time that a hypervisor takes (steal, proc_stat(5)) is included.
type othersMeter struct {
	begin time.Time
	busy  time.Duration // of the machine, since its start
	own   time.Duration // of this process and the descendants that were waited for
}

// newOthersMeter begins to measure. No descendant may be running.
func newOthersMeter() (m othersMeter, err error) {
	m.begin = time.Now()
	if m.busy, err = machineBusy(); err == nil {
		m.own, err = ownTime()
	}
	return m, err
}

// share returns which part of the processor time of the machine others have used since the
// beginning. All descendants must have been waited for.
func (m othersMeter) share() (float64, error) {
	now, err := newOthersMeter()
	if err != nil {
		return 0, err
	}
	all := now.begin.Sub(m.begin) * time.Duration(runtime.NumCPU())
	return max(0, float64((now.busy-m.busy)-(now.own-m.own))/float64(all)), nil
}

// machineBusy returns the processor time that is not idle, without interrupts, which belong to no
// process.
func machineBusy() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return busyTime(text)
}

// busyTime reads the first line of /proc/stat, whose unit is 10 ms (USER_HZ):
// cpu user nice system idle iowait irq softirq steal …
func busyTime(stat []byte) (busy time.Duration, err error) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	for _, i := range []int{1, 2, 3, 8} {
		ticks, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		busy += time.Duration(ticks) * 10 * time.Millisecond
	}
	return busy, nil
}

func ownTime() (sum time.Duration, err error) {
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if err := unix.Getrusage(who, &u); err != nil {
			return 0, err
		}
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum, nil
}
