package procfs

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// MaxChildLists is how many lists a ChildLists keeps open.
const MaxChildLists = 16

// ChildLists are the lists of the children of some threads of this process, kept open: to open one
// takes ten times as long as to read it. A descriptor belongs to the thread that had the id when it
// was opened; once that thread has ended, it reads as empty, even if the id is used again. A
// ChildLists is not safe for concurrent use.
type ChildLists struct {
	fds map[int]int // descriptors by thread id
	buf []byte      // for reading
}

// NewChildLists returns a ChildLists without open lists.
func NewChildLists() *ChildLists {
	return &ChildLists{fds: make(map[int]int), buf: make([]byte, childrenBuffer)}
}

// Read returns the children of a thread. child is one of them that is not reaped, or 0 if none is
// known; it proves that an open list is that of the thread. A thread that has ended has no
// children: they became those of the first thread, whose list is therefore read after all others.
// The caller prevents that children are reaped meanwhile.
func (l *ChildLists) Read(tid, child int) ([]int, error) {
	if fd, ok := l.fds[tid]; ok {
		pids, err := readStable(fd, l.buf)
		if err != nil || tid == os.Getpid() || child != 0 && slices.Contains(pids, child) {
			return pids, err
		}
		_ = unix.Close(fd)
		delete(l.fds, tid)
	}
	if len(l.fds) < MaxChildLists {
		if fd, err := openChildren(tid); err == nil && fd >= 0 {
			l.fds[tid] = fd
			return readStable(fd, l.buf)
		}
	}
	return AllOwnChildren(tid)
}

// Close closes all lists. Read opens them again.
func (l *ChildLists) Close() {
	for tid, fd := range l.fds {
		_ = unix.Close(fd)
		delete(l.fds, tid)
	}
}
