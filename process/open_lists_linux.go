package process

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// maxOpenLists is for how many threads a list of children is kept open.
const maxOpenLists = 16

// openLists are lists of the children of threads of this process that are kept open, by thread id: to open one takes ten times
// as long as to read it. A descriptor belongs to the thread that had the number when it was opened. When that thread has ended,
// it reads as empty, even if the number is used again.
type openLists map[int]int

// read returns the children of a thread. child is one of them that is not reaped, or 0 if none is known; it shows that the list is
// that of the thread. A thread that has ended has none: they went to the first thread, so read that after the others.
// Reaping is held.
func (l openLists) read(tid, child int) ([]int, error) {
	if fd, ok := l[tid]; ok {
		pids, err := settle(fd)
		if err != nil || tid == os.Getpid() || child != 0 && slices.Contains(pids, child) {
			return pids, err
		}
		_ = unix.Close(fd)
		delete(l, tid)
	}
	if len(l) < maxOpenLists {
		if fd, err := openChildren(tid); err == nil && fd >= 0 {
			l[tid] = fd
			return settle(fd)
		}
	}
	return childrenOf(tid)
}

func (l openLists) close() {
	for tid, fd := range l {
		_ = unix.Close(fd)
		delete(l, tid)
	}
}
