package process

import (
	"errors"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// errNoLists says that the kernel has none (CONFIG_PROC_CHILDREN).
var errNoLists = errors.New("process: the kernel lists no children")

var errUnsettled = errors.New("process: the list of children changes all the while")

// childrenOf is all children that some threads of this process have; the same thread may be named twice, 0 is none, and
// one that is gone has none: its list went to the first thread. Reaping is held: a list from which nobody goes meanwhile is
// read without a gap.
func childrenOf(threads ...int) ([]int, error) { return childrenBy(settle, 0, threads) }

// childrenSeen is the same without reaping held: some may be left out.
func childrenSeen(threads ...int) ([]int, error) { return childrenBy(readChildren, 0, threads) }

// childrenBy reads the list of the first thread from an open descriptor, if first is one.
func childrenBy(read func(list int) ([]int, error), first int, threads []int) (all []int, err error) {
	for i, tid := range threads {
		if tid == 0 || slices.Contains(threads[:i], tid) {
			continue
		}
		var pids []int
		if first > 0 && tid == os.Getpid() {
			pids, err = read(first)
		} else {
			pids, err = transient(func() ([]int, error) { return childrenOfOne(tid, read) })
		}
		if err != nil {
			return nil, err
		}
		all = append(all, pids...)
	}
	return all, nil
}

// childrenOfOne opens the list anew each time: a thread's number may be another one's by now.
func childrenOfOne(tid int, read func(list int) ([]int, error)) ([]int, error) {
	fd, err := unix.Open("/proc/self/task/"+strconv.Itoa(tid)+"/children", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT && tid != os.Getpid() {
		return nil, nil
	}
	if err != nil {
		return nil, errors.Join(errNoLists, err)
	}
	defer unix.Close(fd)
	return read(fd)
}

// openFirstList opens the list of the first thread, which lives as long as the process, so it can be kept open. It is 0 where
// there is none.
func openFirstList() int {
	fd, err := unix.Open("/proc/self/task/"+strconv.Itoa(os.Getpid())+"/children", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	return fd
}

// childless says that this process has no child at all, dead or alive.
func childless() bool {
	var info unix.Siginfo
	return unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG|unix.WALL, nil) == unix.ECHILD
}

// settle reads a list until two readings agree: the fork of a program that can't be executed reaps its child unseen, and
// who stood behind that may be left out of one.
func settle(list int) ([]int, error) {
	last, err := readChildren(list)
	for range maxRounds {
		if err != nil {
			return nil, err
		}
		var now []int
		if now, err = readChildren(list); err == nil && slices.Equal(now, last) {
			return now, nil
		}
		last = now
	}
	return nil, errUnsettled
}

// readChildren reads a list once (proc_pid_children(5)). That of a thread that is gone is empty.
func readChildren(list int) (pids []int, err error) {
	var chunk [4096]byte
	pid, at := 0, int64(0)
	for {
		n, err := unix.Pread(list, chunk[:], at)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ESRCH || err == nil && n == 0:
			return pids, nil
		case err != nil:
			return nil, os.NewSyscallError("read /proc/self/task/TID/children", err)
		}
		at += int64(n)
		for _, c := range chunk[:n] {
			if c == ' ' {
				pids, pid = append(pids, pid), 0
			} else {
				pid = 10*pid + int(c-'0')
			}
		}
		if n < len(chunk)-maxChildBytes { // the kernel fills the buffer with whole numbers as long as there are some
			return pids, nil
		}
	}
}

// maxChildBytes is more than a number takes in the list.
const maxChildBytes = 16

// threadsOfSelf lists the threads of this process.
func threadsOfSelf() (tids []int) {
	entries, _ := os.ReadDir("/proc/self/task")
	for _, e := range entries {
		if tid, err := strconv.Atoi(e.Name()); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids
}
