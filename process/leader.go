package process

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrRunning is what Reap returns before the leader exited.
var ErrRunning = errors.New("process: leader has not exited")

// reaping is held by who reaps a child, and by who reads the list of children: a list from which nobody goes meanwhile
// is read without a gap (proc_pid_children(5)).
var reaping sync.Mutex

// leader is the child itself from its fork to its reap. Between the two its number, and that of the group
// it leads, are certainly its own.
type leader struct {
	pid    int
	handle *os.File    // its pidfd, in the poller; nil where the system has none. Used by wait only
	peak   int64       // the server's own peak memory at the fork, in bytes: see newExit
	table  *childTable // has to know when it was reaped; nil for none
	timed  bool        // its own time has to be known, apart from that of its children
	over   atomic.Bool // it is dead, reaped or not

	mu     sync.Mutex
	pidfd  int // the descriptor in handle; -1 for none or closed
	reaped bool
	exit   *Exit // once reaped
}

// newLeader takes over pidfd, -1 for none. Call it right after the fork.
func newLeader(pid, pidfd int) *leader {
	l := &leader{pid: pid, pidfd: pidfd, peak: ownPeak()}
	if pidfd >= 0 {
		_ = unix.SetNonblock(pidfd, true) // else os.NewFile keeps it out of the poller
		l.handle = os.NewFile(uintptr(pidfd), "pidfd")
	}
	return l
}

// wait is WaitExit. A leader that someone else reaped is marked so at once: its number is no longer ours.
func (l *leader) wait() error {
	err := l.awaitExit()
	if errors.Is(err, syscall.ECHILD) {
		_, err = l.reap()
	}
	if err == nil {
		l.over.Store(true)
	}
	return err
}

func (l *leader) reap() (Exit, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reaped {
		return *l.exit, nil
	}
	var status syscall.WaitStatus
	var usage syscall.Rusage
	var own time.Duration
	if l.timed {
		own = ownTime(l.pid) // of a zombie too
	}
	reaping.Lock()
	defer reaping.Unlock()
	pid, err := syscall.Wait4(l.pid, &status, syscall.WNOHANG, &usage)
	for err == syscall.EINTR {
		pid, err = syscall.Wait4(l.pid, &status, syscall.WNOHANG, &usage)
	}
	switch {
	case err == syscall.ECHILD:
		l.exit = &Exit{Code: -1}
	case err != nil:
		return Exit{}, os.NewSyscallError("wait4", err)
	case pid == 0:
		return Exit{}, ErrRunning
	default:
		e := newExit(status, &usage, l.peak)
		e.ownTime = own
		l.exit = &e
	}
	l.reaped = true
	l.over.Store(true)
	if l.table != nil {
		l.table.reaped(l.pid)
	}
	return *l.exit, nil
}

// runsLocked says whether the leader is not dead, wherever it went: its exit was not observed, and can't be yet.
func (l *leader) runsLocked() bool {
	return !l.reaped && !l.over.Load() && !hasExited(l.pid)
}

// exited is the same question, asked from the other side by who does not hold the lock.
func (l *leader) exited() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.runsLocked()
}

func (l *leader) isReaped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reaped
}

// hold runs f while the leader can't be reaped nor its pidfd closed by anyone else. f must not block.
func (l *leader) hold(f func(pidfd int, reaped bool) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return f(l.pidfd, l.reaped)
}

// abandon ends a wait; one that blocks a thread can't be.
func (l *leader) abandon() {
	if l.handle != nil {
		_ = l.handle.SetReadDeadline(time.Unix(1, 0))
	}
}

func (l *leader) close() {
	l.mu.Lock()
	l.pidfd = -1
	l.mu.Unlock()
	if l.handle != nil {
		_ = l.handle.Close()
	}
}
