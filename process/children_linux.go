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

// childrenOf is all children that some threads of this process have; the same thread may be named twice. One that has ended
// has none: its list went to the first thread. Reaping is held: a list from which nobody goes meanwhile is read without a gap.
func childrenOf(threads ...int) ([]int, error) { return childrenBy(settle, threads) }

// childrenSeen is the same without reaping held: some may be left out.
func childrenSeen(threads ...int) ([]int, error) { return childrenBy(readChildren, threads) }

func childrenBy(read func(list int) ([]int, error), threads []int) (all []int, err error) {
	for i, tid := range threads {
		if slices.Contains(threads[:i], tid) {
			continue
		}
		pids, err := transient(func() ([]int, error) { return childrenOfOne(tid, read) })
		if err != nil {
			return nil, err
		}
		all = append(all, pids...)
	}
	return all, nil
}

// childrenOfOne opens the list anew each time: a thread's number may be another one's by now.
func childrenOfOne(tid int, read func(list int) ([]int, error)) ([]int, error) {
	fd, err := openChildren(tid)
	if err != nil || fd < 0 {
		return nil, err
	}
	defer unix.Close(fd)
	return read(fd)
}

// openChildren opens the list of a thread. It returns -1 for a thread that has ended; the first one never does.
func openChildren(tid int) (fd int, err error) {
	fd, err = unix.Open("/proc/self/task/"+strconv.Itoa(tid)+"/children", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT && tid != os.Getpid() {
		return -1, nil
	}
	if err != nil {
		return -1, errors.Join(errNoLists, err)
	}
	return fd, nil
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
