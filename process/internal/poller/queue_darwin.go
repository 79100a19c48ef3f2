package poller

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// maxReady is how many events are read from the kernel at once.
const maxReady = 128

// queue is a kqueue. It blocks a thread.
type queue struct {
	using sync.RWMutex // locked for reading while fd is used
	fd    int          // -1 once closed
}

func (q *queue) open() (err error) {
	if q.fd, err = unix.Kqueue(); err != nil {
		return os.NewSyscallError("kqueue", err)
	}
	unix.CloseOnExec(q.fd)
	return q.control(0, unix.EVFILT_USER, unix.EV_ADD|unix.EV_CLEAR, 0)
}

// close makes run return and close the kqueue.
func (q *queue) close() { _ = q.control(0, unix.EVFILT_USER, 0, unix.NOTE_TRIGGER) }

func (q *queue) arm(fd int) error {
	return q.control(fd, unix.EVFILT_READ, unix.EV_ADD|unix.EV_ONESHOT, 0)
}

func (q *queue) rearm(fd int) error { return q.arm(fd) } // EV_ONESHOT has deleted it

func (q *queue) control(fd, filter, flags int, fflags uint32) error {
	changes := make([]unix.Kevent_t, 1)
	unix.SetKevent(&changes[0], fd, filter, flags)
	changes[0].Fflags = fflags
	q.using.RLock()
	defer q.using.RUnlock()
	_, err := unix.Kevent(q.fd, changes, nil, nil)
	return err
}

// run calls ready for each descriptor that is ready, until close.
func (q *queue) run(ready func(fd int)) {
	events := make([]unix.Kevent_t, maxReady)
	for {
		n, err := unix.Kevent(q.fd, nil, events, nil)
		if err != nil && err != unix.EINTR {
			return
		}
		for _, e := range events[:max(n, 0)] {
			if e.Filter == unix.EVFILT_USER {
				q.using.Lock()
				defer q.using.Unlock()
				_ = unix.Close(q.fd)
				q.fd = -1
				return
			}
			ready(int(e.Ident))
		}
	}
}
