package memberwise

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

const (
	// KillWait is how long SIGKILL may take. Only a process that waits for a device or a file
	// server takes longer.
	KillWait = 2 * time.Second
	// MinInterval and MaxInterval are the first and the longest time between two checks whether
	// processes have ended. A check may read the whole process table.
	MinInterval = time.Millisecond
	MaxInterval = 10 * time.Millisecond
)

// KillAll sends SIGKILL to all listed processes, and repeats it until none is left or wait is over.
func KillAll(l containment.Lister, wait time.Duration) (killed, left int) {
	done := make(map[id]bool)
	deadline := time.Now().Add(wait)
	quiet := 0
	for interval := MinInterval; quiet < QuietScans && time.Now().Before(deadline); interval = min(2*interval, MaxInterval) {
		left = 0
		err := l.Each(func(m proctable.Entry) {
			left++
			if l.Signal(m, syscall.SIGKILL) == nil {
				done[idOf(m)] = true
			}
		})
		if quiet++; left > 0 || err != nil {
			quiet = 0
			time.Sleep(interval)
		}
	}
	return len(done), left
}

// Union lists the processes of several listers, except this process.
type Union []containment.Lister

// Each calls f once for every process.
func (u Union) Each(f func(proctable.Entry)) error {
	seen, own := make(map[int]bool), os.Getpid()
	var errs []error
	for _, l := range u {
		errs = append(errs, l.Each(func(m proctable.Entry) {
			if !seen[m.PID] && m.PID != own {
				seen[m.PID] = true
				f(m)
			}
		}))
	}
	return errors.Join(errs...)
}

// Contains reports whether one of the listers contains a process.
func (u Union) Contains(pid int) (bool, error) {
	var errs []error
	for _, l := range u {
		is, err := l.Contains(pid)
		if is {
			return true, nil
		}
		errs = append(errs, err)
	}
	return false, errors.Join(errs...)
}

// Signal sends sig to e if one of the listers still contains it.
func (u Union) Signal(e proctable.Entry, sig syscall.Signal) error {
	return proctable.Signal(e, sig, func(proctable.Entry) (bool, error) { return u.Contains(e.PID) })
}
