package spawn

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Error means that the child could not do an operation before the first instruction of the program.
type Error struct {
	Op    Op
	Errno syscall.Errno
}

// Op is an operation of a child.
type Op uint32

// The operations.
const (
	Exec Op = iota
	Chdir
	SetNice       // setpriority(2)
	SetUser       // setresuid(2), and what belongs to it
	SetPrivileges // PR_SET_NO_NEW_PRIVS
	SetTerminal   // in a sandbox: a terminal as the standard descriptors, setsid(2), TIOCSCTTY
	SetSandbox    // entering or applying a Setup.Sandbox
)

func (e *Error) Error() string { return e.Errno.Error() }

// Unwrap returns the Errno.
func (e *Error) Unwrap() error { return e.Errno }

// apply sets what another process can set, except for the nice value, which belongs to a thread.
func (s *Setup) apply(pid int) error {
	if s.Enter != nil {
		if err := s.Enter(pid); err != nil {
			return err
		}
	}
	for resource, limit := range s.Hard {
		if err := unix.Prlimit(pid, resource, &limit, nil); err != nil {
			return os.NewSyscallError("prlimit", err)
		}
	}
	for resource, value := range s.Soft {
		if err := s.applySoft(pid, resource, value); err != nil {
			return os.NewSyscallError("prlimit", err)
		}
	}
	return nil
}

func (s *Setup) applySoft(pid, resource int, value uint64) error {
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, resource, nil, &limit); err != nil {
		return err
	}
	most := limit.Max
	if hard, ok := s.Hard[resource]; ok {
		most = min(most, hard.Cur) // for RLIMIT_CPU the hard limit is higher
	}
	limit.Cur = min(value, most)
	return unix.Prlimit(pid, resource, &limit, nil)
}

// applyNice sets the nice value of a process that is stopped at its exec, where it has a single
// thread.
func (s *Setup) applyNice(pid int) error {
	if s.Nice == nil {
		return nil
	}
	err := unix.Setpriority(unix.PRIO_PROCESS, pid, *s.Nice)
	if errno, ok := err.(syscall.Errno); ok && errno != 0 {
		return &Error{SetNice, errno}
	}
	return err
}

// OwnNice returns the nice value of the calling thread.
func OwnNice() (int, error) {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0) // the system call returns 20 minus the value
	return 20 - n, err
}

// MinNice returns the lowest nice value that this process may set (setpriority(2)). It determines
// the value once.
var MinNice = sync.OnceValue(func() int {
	found := make(chan int)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread, whose nice value is changed, ends with this goroutine
		found <- minNice()
	}()
	return <-found
})

// minNice changes the nice value of the calling thread.
func minNice() int {
	own, err := OwnNice()
	if err != nil {
		own = 0
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NICE, &limit) != nil {
		limit.Cur = 0
	}
	allowed := 20 - int(min(limit.Cur, 40))
	for _, try := range []int{-20, allowed} {
		if try < own && unix.Setpriority(unix.PRIO_PROCESS, 0, try) == nil {
			return try
		}
	}
	return own
}

// Inherits reports whether a child has a soft limit without any Setup. It is false if that is not
// known.
func Inherits(resource int, soft uint64) bool {
	var limit unix.Rlimit
	if unix.Getrlimit(resource, &limit) != nil {
		return false
	}
	inherited := limit.Cur
	if resource == unix.RLIMIT_NOFILE {
		seen := inheritedFiles.Load()
		if seen == nil || seen.own != limit {
			return false
		}
		inherited = seen.soft
	}
	return min(soft, limit.Max) == inherited
}

// inheritedFiles is the soft RLIMIT_NOFILE that the last traced child inherited, with the limits of
// this process then. The Go runtime raises the soft limit of this process to the hard limit, and
// sets it in children to the value that it found at its start, which it does not export.
var inheritedFiles atomic.Pointer[filesLimit]

type filesLimit struct {
	own  unix.Rlimit
	soft uint64
}

// noteFiles updates inheritedFiles from a child that is stopped at its exec, if the setup would
// change its limit.
func (s *Setup) noteFiles(pid int) {
	if _, ok := s.Soft[unix.RLIMIT_NOFILE]; !ok {
		return
	}
	var own, child unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &own) == nil && unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &child) == nil {
		inheritedFiles.Store(&filesLimit{own, child.Cur})
	}
}
