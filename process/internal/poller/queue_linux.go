package poller

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// maxReady is how many events are read from the kernel at once.
const maxReady = 128

// queue is an epoll instance, which is itself in the runtime's poller. A descriptor is reported
// once each time it is armed, so a process that writes while its output is being read causes no
// event.
type queue struct {
	file  *os.File
	using sync.RWMutex // locked for reading while fd is used
	fd    int          // -1 once closed
}

func (q *queue) open() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	_ = unix.SetNonblock(fd, true) // otherwise os.NewFile does not register it with the runtime's poller
	q.fd, q.file = fd, os.NewFile(uintptr(fd), "epoll")
	return nil
}

func (q *queue) close() {
	q.using.Lock()
	defer q.using.Unlock()
	q.fd = -1
	_ = q.file.Close()
}

func (q *queue) arm(fd int) error   { return q.control(unix.EPOLL_CTL_ADD, fd) }
func (q *queue) rearm(fd int) error { return q.control(unix.EPOLL_CTL_MOD, fd) }

func (q *queue) control(op, fd int) error {
	q.using.RLock()
	defer q.using.RUnlock()
	return unix.EpollCtl(q.fd, op, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(fd)})
}

// run calls ready for each descriptor that is ready, until close.
func (q *queue) run(ready func(fd int)) {
	conn, err := q.file.SyscallConn()
	if err != nil {
		return
	}
	var events [maxReady]unix.EpollEvent
	_ = conn.Read(func(fd uintptr) bool {
		for more := true; more; {
			n, err := unix.EpollWait(int(fd), events[:], 0)
			for _, e := range events[:max(n, 0)] {
				ready(int(e.Fd))
			}
			more = n == maxReady || err == unix.EINTR
		}
		return false // the runtime's poller waits for the next event, and calls this again
	})
}
