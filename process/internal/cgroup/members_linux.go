package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/memberwise"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// Dir lists the processes of a cgroup and of all below it. It is the directory of that cgroup.
type Dir string

// Each calls f for every process that has not ended.
func (d Dir) Each(f func(proctable.Entry)) (err error) {
	listErr := eachCgroup(string(d), false, func(dir string) error {
		pids, procsErr := processesIn(dir)
		for _, pid := range pids {
			e, alive, lookupErr := proctable.LookupAlive(pid)
			if lookupErr != nil {
				err = lookupErr
			} else if alive {
				f(e)
			}
		}
		if errors.Is(procsErr, os.ErrNotExist) { // removed meanwhile
			return nil
		}
		return procsErr
	})
	if err == nil {
		err = listErr
	}
	return err
}

// Contains reports whether a process is in the cgroup or below it.
func (d Dir) Contains(pid int) (is bool, err error) {
	_ = d.Each(func(e proctable.Entry) { is = is || e.PID == pid })
	return is, nil
}

// Signal sends sig to e if it is still the same process and in the cgroup.
func (d Dir) Signal(e proctable.Entry, sig syscall.Signal) error {
	return proctable.Signal(e, sig, func(proctable.Entry) (bool, error) { return d.Contains(e.PID) })
}

// processesIn lists the processes of one cgroup, without those of its children.
func processesIn(dir string) (pids []int, err error) {
	pids, err = readNumbers(filepath.Join(dir, "cgroup.procs"))
	if errors.Is(err, unix.EOPNOTSUPP) { // a command with the rights of the server has made it threaded (cgroups(7))
		return processesOfThreadsIn(dir)
	}
	return pids, err
}

// processesOfThreadsIn lists the processes that have a thread in a threaded cgroup.
func processesOfThreadsIn(dir string) (pids []int, err error) {
	tids, err := readNumbers(filepath.Join(dir, "cgroup.threads"))
	for _, tid := range tids {
		pid, err := procfs.ThreadGroup(tid)
		if fdreserve.Exhausted(err) {
			return nil, err
		}
		if err == nil && !slices.Contains(pids, pid) { // an error means that the thread has ended
			pids = append(pids, pid)
		}
	}
	return pids, err
}

// eachCgroup calls f for a cgroup and all below it: parents first, or children first if
// childrenFirst.
func eachCgroup(dir string, childrenFirst bool, f func(dir string) error) error {
	var below []string
	info, err := os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && info.Sys().(*syscall.Stat_t).Nlink > 2 { // each subdirectory is a link
		below, err = fdreserve.Subdirectories(dir)
	}
	if !childrenFirst && err == nil {
		err = f(dir)
	}
	for _, name := range below {
		if err == nil {
			err = eachCgroup(filepath.Join(dir, name), childrenFirst, f)
		}
	}
	if childrenFirst && err == nil {
		err = f(dir)
	}
	return err
}

// Remove removes a cgroup and all below it. It fails if one has living processes.
func Remove(dir string) error {
	err := os.Remove(dir)
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return eachCgroup(dir, true, func(dir string) error {
		if err := os.Remove(dir); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	})
}

// Killable reports whether a cgroup has cgroup.kill, which cgroups of version 1 and kernels before
// 5.14 do not have.
func Killable(dir string) bool {
	return unix.Access(filepath.Join(dir, killFile), unix.F_OK) == nil
}

// Kill sends SIGKILL to all processes in a killable cgroup and below it.
func Kill(dir string) error { return fdreserve.WriteFile(filepath.Join(dir, killFile), "1") }

// Empty kills all processes in a cgroup of version 2 and below it, and removes it. It fails after
// wait if some have not ended. killed is how many there were.
func Empty(dir string, wait time.Duration) (killed int, err error) {
	err = eachCgroup(dir, false, func(dir string) error {
		pids, err := processesIn(dir)
		killed += len(pids)
		return err
	})
	if err != nil {
		return 0, err
	}
	_ = Kill(dir)
	deadline := time.Now().Add(wait)
	for interval := memberwise.MinInterval; ; interval = min(2*interval, memberwise.MaxInterval) {
		if err = Remove(dir); err == nil || !time.Now().Before(deadline) {
			return killed, err
		}
		time.Sleep(interval)
	}
}
