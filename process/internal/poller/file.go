package poller

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// retryInterval is how often a parked file is checked for which the kernel has no resources.
const retryInterval = 10 * time.Millisecond

// File is a non-blocking descriptor from which one goroutine at a time reads. When there is nothing
// to read, that goroutine parks the file and ends. The other methods may be called at any time.
type File struct {
	poller *Poller // nil if there is none

	mu       sync.Mutex
	fd       int     // -1 once closed
	parked   Resumer // nil unless the file is parked
	added    bool    // to the poller
	retried  bool    // parked, but not armed: it is checked at intervals
	deadline time.Time
	timer    *time.Timer // calls wake; nil until it is needed
}

// Resumer is resumed when its file is ready. It is an interface so that parking allocates nothing.
type Resumer interface {
	// Resume must not block.
	Resume()
}

// Init makes f own fd. If p is nil, the file belongs to a poller that is shared by all of these
// files and never closed. Init is called before any other method.
func (f *File) Init(p *Poller, fd int) {
	if p == nil {
		p = shared()
	}
	f.poller, f.fd = p, fd
}

// Lock returns the descriptor, which is not closed before Unlock, and whether the deadline has
// passed. If the error is os.ErrClosed, Unlock must not be called.
func (f *File) Lock() (fd int, expired bool, err error) {
	f.mu.Lock()
	if f.fd < 0 {
		f.mu.Unlock()
		return -1, false, os.ErrClosed
	}
	return f.fd, f.expired(), nil
}

// Unlock is called after Lock.
func (f *File) Unlock() { f.mu.Unlock() }

func (f *File) expired() bool { return !f.deadline.IsZero() && !time.Now().Before(f.deadline) }

// Park calls r.Resume once: when the file is readable or at its end, when the deadline has passed,
// or when the file is closed. It may also do so for nothing. Resume is called by Park itself, by
// Close, or from another goroutine. Park is not called again before that.
func (f *File) Park(r Resumer) {
	f.mu.Lock()
	if f.fd < 0 || f.expired() {
		f.mu.Unlock()
		r.Resume()
		return
	}
	defer f.mu.Unlock()
	f.parked = r // before it is armed, since the event may come at once
	f.retried = f.arm() != nil
	f.setTimer()
}

// setTimer sets the timer of a parked file to the deadline, or to the next check of a file that is
// not armed.
func (f *File) setTimer() {
	switch {
	case f.retried && f.deadline.IsZero():
		f.wakeAfter(retryInterval)
	case f.retried:
		f.wakeAfter(min(retryInterval, time.Until(f.deadline)))
	case !f.deadline.IsZero():
		f.wakeAfter(time.Until(f.deadline))
	}
}

// arm makes the kernel report the file once.
func (f *File) arm() error {
	switch {
	case f.poller == nil:
		return unix.EMFILE
	case f.added:
		return f.poller.queue.rearm(f.fd)
	}
	f.poller.set(f.fd, f)
	if err := f.poller.queue.arm(f.fd); err != nil {
		f.poller.set(f.fd, nil)
		return err
	}
	f.added = true
	return nil
}

func (f *File) wakeAfter(d time.Duration) {
	if f.timer == nil {
		f.timer = time.AfterFunc(d, f.wake)
	} else {
		f.timer.Reset(d)
	}
}

// wake resumes the file if it is parked.
func (f *File) wake() {
	f.mu.Lock()
	r := f.unpark()
	f.mu.Unlock()
	if r != nil {
		r.Resume()
	}
}

// unpark returns what is to be resumed, nil if the file is not parked.
func (f *File) unpark() (r Resumer) {
	r, f.parked = f.parked, nil
	if f.timer != nil {
		f.timer.Stop()
	}
	return r
}

// SetDeadline sets when a parked file is resumed at the latest. The zero time is no deadline.
func (f *File) SetDeadline(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deadline = t
	if f.parked != nil {
		f.setTimer()
	}
}

// Close closes the descriptor, once.
func (f *File) Close() error {
	f.mu.Lock()
	if f.fd < 0 {
		f.mu.Unlock()
		return os.ErrClosed
	}
	if f.added {
		f.poller.set(f.fd, nil) // the kernel forgets it when no child that is being forked has a copy
	}
	err := unix.Close(f.fd)
	f.fd, f.added = -1, false
	r := f.unpark()
	f.mu.Unlock()
	if r != nil {
		r.Resume()
	}
	return err
}
