package procfs

import (
	"errors"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
)

var (
	errNoChildren = errors.New("/proc/PID/task/TID/children does not exist (CONFIG_PROC_CHILDREN)")
	errUnstable   = errors.New("/proc/PID/task/TID/children changes with each reading")
)

// maxReadings bounds how often a list of children is read until two readings agree.
const maxReadings = 16

// ThreadChildren returns the children of a thread of a process (proc_pid_children(5)). Some may be
// missing if one is reaped meanwhile.
func ThreadChildren(pid, tid int) ([]int, error) { return childrenOfOther(pid, tid, readChildren) }

// StableChildren returns the children of the first thread of a process, as two readings agree on them.
// A process that does not exist has none.
func StableChildren(pid int) ([]int, error) {
	pids, err := childrenOfOther(pid, pid, readStable)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	return pids, err
}

func childrenOfOther(pid, tid int, read func(fd int, buf []byte) ([]int, error)) ([]int, error) {
	return fdreserve.Do(func() ([]int, error) {
		fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/task/"+strconv.Itoa(tid)+"/children", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		defer unix.Close(fd)
		return read(fd, make([]byte, childrenBuffer))
	})
}

// OwnChildren returns the children of some threads of this process; a thread may be named twice.
// Some may be missing if one is reaped meanwhile. A thread that has ended has none, since its
// children became those of the first thread.
func OwnChildren(tids ...int) ([]int, error) { return childrenOf(tids, readChildren) }

// AllOwnChildren is like OwnChildren, but none is missing. The caller prevents that children are
// reaped meanwhile.
func AllOwnChildren(tids ...int) ([]int, error) { return childrenOf(tids, readStable) }

func childrenOf(tids []int, read func(fd int, buf []byte) ([]int, error)) (all []int, err error) {
	buf := make([]byte, childrenBuffer)
	for i, tid := range tids {
		if slices.Contains(tids[:i], tid) {
			continue
		}
		pids, err := fdreserve.Do(func() ([]int, error) { return childrenOfThread(tid, buf, read) })
		if err != nil {
			return nil, err
		}
		all = append(all, pids...)
	}
	return all, nil
}

// childrenOfThread opens the list each time, since the id of a thread can be used again.
func childrenOfThread(tid int, buf []byte, read func(fd int, buf []byte) ([]int, error)) ([]int, error) {
	fd, err := openChildren(tid)
	if err != nil || fd < 0 {
		return nil, err
	}
	defer unix.Close(fd)
	return read(fd, buf)
}

// openChildren opens the list of a thread of this process. It returns -1 for a thread that has
// ended; the first one does not end before the process.
func openChildren(tid int) (fd int, err error) {
	fd, err = unix.Open("/proc/self/task/"+strconv.Itoa(tid)+"/children", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		return fd, nil
	case err != unix.ENOENT:
		return -1, os.NewSyscallError("open /proc/PID/task/TID/children", err)
	case tid == os.Getpid():
		return -1, errNoChildren
	default:
		return -1, nil
	}
}

// readStable reads a list until two readings agree. syscall.ForkExec reaps the child of a failed
// exec, which the caller cannot prevent, and a reading at that moment can miss the entries behind
// it.
func readStable(fd int, buf []byte) ([]int, error) {
	last, err := readChildren(fd, buf)
	for range maxReadings {
		if err != nil {
			return nil, err
		}
		var now []int
		if now, err = readChildren(fd, buf); err == nil && slices.Equal(now, last) {
			return now, nil
		}
		last = now
	}
	return nil, errUnstable
}

const (
	// maxEntryBytes is more than an entry of the list takes.
	maxEntryBytes = 16
	// childrenBuffer is the size of the buffers that lists are read into.
	childrenBuffer = 4096
)

// readChildren reads a list once (proc_pid_children(5)), through buf, which is not on the stack: it
// would make the stack of each supervisor grow. The list of a thread that has ended is empty.
func readChildren(fd int, buf []byte) (pids []int, err error) {
	pid, offset := 0, int64(0)
	for {
		n, err := unix.Pread(fd, buf, offset)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ESRCH || err == nil && n == 0:
			return pids, nil
		case err != nil:
			return nil, os.NewSyscallError("read /proc/PID/task/TID/children", err)
		}
		offset += int64(n)
		for _, c := range buf[:n] {
			if c == ' ' {
				pids, pid = append(pids, pid), 0
			} else {
				pid = 10*pid + int(c-'0')
			}
		}
		if n < len(buf)-maxEntryBytes { // the kernel fills the buffer with whole entries as long as there are any
			return pids, nil
		}
	}
}

// OwnThreads returns the ids of the threads of this process.
func OwnThreads() (tids []int) {
	names, _ := fdreserve.ReadDirNames("/proc/self/task")
	for _, name := range names {
		if tid, err := strconv.Atoi(name); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids
}
