package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// hierarchies are the directories of this process' own control groups, as far as they are to be seen here.
type hierarchies struct {
	unified string            // of version 2
	shown   string            // what /proc/PID/cgroup calls that
	v1      map[string]string // of version 1, by controller
}

var errNoCgroup2 = errors.New("no cgroup2 file system is mounted that shows this process' own control group")

// ownHierarchies reads /proc/self/cgroup (cgroups(7)) and /proc/self/mountinfo (proc_pid_mountinfo(5)).
func ownHierarchies() (hierarchies, error) {
	cgroups, err := procfs.OwnCgroups()
	if err != nil {
		return hierarchies{}, err
	}
	mounts, err := procfs.OwnMounts()
	if err != nil {
		return hierarchies{}, err
	}
	return hierarchiesOf(cgroups, mounts), nil
}

func hierarchiesOf(cgroups procfs.Cgroups, mounts []procfs.Mount) hierarchies {
	h := hierarchies{shown: cgroups.V2, v1: make(map[string]string)}
	for _, m := range mounts {
		switch m.Type {
		case "cgroup2":
			if dir := m.PathOf(cgroups.V2); dir != "" && h.unified == "" {
				h.unified = dir
			}
		case "cgroup":
			for _, controller := range m.Options {
				if dir := m.PathOf(cgroups.V1[controller]); dir != "" && h.v1[controller] == "" {
					h.v1[controller] = dir
				}
			}
		}
	}
	return h
}

// controllers are those that a control group of version 2 can bound its children by.
func controllers(dir string) []string {
	text, _ := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	return strings.Fields(string(text))
}

// delegate enables controllers for the children of a control group, and returns those that were not before.
func delegate(dir string, names []string) (enabled []string, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return nil, err
	}
	have := strings.Fields(string(text))
	for _, name := range names {
		if slices.Contains(have, name) {
			continue
		}
		if err := fdreserve.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), "+"+name); err != nil {
			return enabled, err
		}
		enabled = append(enabled, name)
	}
	return enabled, nil
}

// processesIn lists the processes of one control group, without those of its children.
func processesIn(dir string) (pids []int, err error) {
	pids, err = numbersIn(filepath.Join(dir, "cgroup.procs"))
	if errors.Is(err, unix.EOPNOTSUPP) { // it is threaded (cgroups(7)), which a command with the rights of the server can do
		return processesOfThreadsIn(dir)
	}
	return pids, err
}

// processesOfThreadsIn lists the processes of which a thread is in a threaded control group.
func processesOfThreadsIn(dir string) (pids []int, err error) {
	tids, err := numbersIn(filepath.Join(dir, "cgroup.threads"))
	for _, tid := range tids {
		pid, err := procfs.ThreadGroup(tid)
		if fdreserve.Exhausted(err) {
			return nil, err
		}
		if err == nil && !slices.Contains(pids, pid) { // else it has ended
			pids = append(pids, pid)
		}
	}
	return pids, err
}

// numbersIn reads numbers in lines.
func numbersIn(path string) (all []int, err error) {
	text, err := fdreserve.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for field := range strings.FieldsSeq(string(text)) {
		n, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, n)
	}
	return all, nil
}

// eachMemberIn calls f for every process that lives in a control group or below it.
func eachMemberIn(dir string, f func(member)) (err error) {
	listErr := eachCgroup(dir, false, func(dir string) error {
		pids, err2 := processesIn(dir)
		for _, pid := range pids {
			m, alive, statErr := proctable.LookupAlive(pid)
			if statErr != nil {
				err = statErr
			} else if alive {
				f(m)
			}
		}
		if errors.Is(err2, os.ErrNotExist) { // a child that went meanwhile
			return nil
		}
		return err2
	})
	if err == nil {
		err = listErr
	}
	return err
}

// eachCgroup calls f for a control group and all below it, parents first, or children first with after.
func eachCgroup(dir string, after bool, f func(dir string) error) error {
	var below []string
	info, err := os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && info.Sys().(*syscall.Stat_t).Nlink > 2 { // each directory in it is a link
		below, err = fdreserve.Subdirectories(dir)
	}
	if !after && err == nil {
		err = f(dir)
	}
	for _, name := range below {
		if err == nil {
			err = eachCgroup(filepath.Join(dir, name), after, f)
		}
	}
	if after && err == nil {
		err = f(dir)
	}
	return err
}

// removeCgroup removes a control group and all below it. It fails where somebody lives in one.
func removeCgroup(dir string) error {
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
