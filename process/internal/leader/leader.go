// Package leader waits for the process that leads a tree, reaps it, and signals it and its process
// group.
//
// Until the leader is reaped, its process id and that of its group are not given to another
// process. Every signal by number is therefore sent under the lock that reaping takes.
package leader

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/poller"
)

// ErrRunning is returned by Reap before the leader has exited.
var ErrRunning = errors.New("process: leader has not exited")

// Reaping is locked while a child of this process is reaped. While a caller holds it, no entry
// disappears from the lists of children, so they can be read without missing any
// (proc_pid_children(5)).
var Reaping sync.Mutex

// Observer is notified of the reap of a leader.
type Observer interface {
	// Reaped is called under Reaping, right after the process id became free for reuse.
	Reaped(pid int)
}

// Leader is a child from its fork to its reap. Its methods may be called from any goroutine.
type Leader struct {
	PID      int
	Observer Observer // nil for none; set before OnExit and Reap
	Timed    bool     // whether Exit.OwnTime is needed; set before Reap

	handle poller.File // pidfd, if HasHandle; awaits the exit
	has    bool        // see HasHandle
	peak   int64       // peak memory of this process at the fork, in bytes: see newExit
	exited atomic.Bool // an exit was observed

	mu     sync.Mutex
	pidfd  int // descriptor of handle; -1 if there is none or it is closed
	reaped bool
	exit   Exit // valid once reaped
}

// New takes over pidfd, -1 for none. p waits for it; nil is a shared poller. New is called right
// after the fork.
func New(pid, pidfd int, p *poller.Poller) *Leader {
	l := &Leader{PID: pid, pidfd: pidfd, has: pidfd >= 0, peak: ownPeak()}
	if l.has {
		l.handle.Init(p, pidfd)
	}
	return l
}

// OnExit calls f once, in a goroutine of its own, when the leader has exited, and does not reap it.
// The error is os.ErrClosed after CloseHandle or Abandon. If another part of this process has
// reaped the leader, the error is nil, and Reap returns an unknown Exit. OnExit is called once. It
// takes no goroutine until the exit if there is a pidfd.
func (l *Leader) OnExit(f func(error)) {
	if !l.has {
		go func() { f(l.noteExit(AwaitChild(l.PID))) }()
		return
	}
	l.handle.Park(&exitWait{l, f})
}

// exitWait is the wait for the exit of a leader.
type exitWait struct {
	leader *Leader
	f      func(error)
}

// Resume is called when the pidfd may be readable.
func (w *exitWait) Resume() { go w.check() }

func (w *exitWait) check() {
	l := w.leader
	fd, abandoned, err := l.handle.Lock()
	exited := false
	if err == nil {
		exited = poller.Readable(fd)
		l.handle.Unlock()
	}
	switch {
	case err != nil || abandoned:
		w.f(os.ErrClosed)
	case !exited:
		l.handle.Park(w)
	default:
		w.f(l.noteExit(peekChild(l.PID)))
	}
}

// noteExit records an exit. err is that of waitid(2): ECHILD if another part of this process has
// reaped the leader.
func (l *Leader) noteExit(err error) error {
	if errors.Is(err, syscall.ECHILD) {
		_, err = l.Reap()
	}
	if err == nil {
		l.exited.Store(true)
	}
	return err
}

// Wait is OnExit, and blocks until the call of f. It returns the error.
func (l *Leader) Wait() error {
	result := make(chan error, 1)
	l.OnExit(func(err error) { result <- err })
	return <-result
}

// Reap returns the exit status and usage of the leader and reaps it; later calls return the same.
// It does not block: before the exit it returns ErrRunning.
func (l *Leader) Reap() (Exit, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reaped {
		return l.exit, nil
	}
	var status syscall.WaitStatus
	var usage syscall.Rusage
	var own time.Duration
	if l.Timed {
		own = OwnTime(l.PID) // works for a zombie too
	}
	Reaping.Lock()
	defer Reaping.Unlock()
	pid, err := syscall.Wait4(l.PID, &status, syscall.WNOHANG, &usage)
	for err == syscall.EINTR {
		pid, err = syscall.Wait4(l.PID, &status, syscall.WNOHANG, &usage)
	}
	switch {
	case err == syscall.ECHILD:
		l.exit = Exit{Code: -1}
	case err != nil:
		return Exit{}, os.NewSyscallError("wait4", err)
	case pid == 0:
		return Exit{}, ErrRunning
	default:
		l.exit = newExit(status, &usage, l.peak)
		l.exit.OwnTime = own
	}
	l.reaped = true
	l.exited.Store(true)
	if l.Observer != nil {
		l.Observer.Reaped(l.PID)
	}
	return l.exit, nil
}

// RunningLocked reports whether the leader has not exited. The caller is a function that Do runs.
func (l *Leader) RunningLocked() bool {
	return !l.reaped && !l.exited.Load() && !hasExited(l.PID)
}

// ReapedLocked reports whether the leader was reaped. The caller is a function that Do runs.
func (l *Leader) ReapedLocked() bool { return l.reaped }

// Exited reports whether the leader has exited, even if OnExit has not reported it yet. It takes a
// system call.
func (l *Leader) Exited() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.RunningLocked()
}

// ExitObserved reports whether an exit was observed by OnExit or Reap. It takes no system call.
func (l *Leader) ExitObserved() bool { return l.exited.Load() }

// Reaped reports whether the leader was reaped.
func (l *Leader) Reaped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reaped
}

// ExitStatus returns the exit code, or -1 and the signal, of a leader that has exited and is not
// reaped. Otherwise, and on systems that do not report it, known is false.
func (l *Leader) ExitStatus() (code int, sig syscall.Signal, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reaped {
		return -1, 0, false
	}
	return peekExit(l.PID)
}

// Do runs f while the leader is neither reaped nor its pidfd closed by another goroutine. f must
// not block.
func (l *Leader) Do(f func(pidfd int, reaped bool) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return f(l.pidfd, l.reaped)
}

// HasHandle reports whether the leader has a pidfd, for which OnExit waits without a thread.
func (l *Leader) HasHandle() bool { return l.has }

// Abandon ends the wait for the exit if there is a pidfd. Everything else continues to work.
func (l *Leader) Abandon() {
	if l.has {
		l.handle.SetDeadline(time.Unix(1, 0))
	}
}

// CloseHandle closes the pidfd. It does not reap the leader.
func (l *Leader) CloseHandle() {
	l.mu.Lock()
	l.pidfd = -1
	l.mu.Unlock()
	if l.has {
		_ = l.handle.Close()
	}
}
