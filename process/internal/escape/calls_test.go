//go:build linux

package escape

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// call is a system call.
type call struct {
	nr   uintptr
	args [6]uintptr
}

// previous, as an argument, is the result of the call before.
const previous = ^uintptr(0x3e7)

func sys(nr uintptr, args ...uintptr) call {
	c := call{nr: nr}
	copy(c.args[:], args)
	return c
}

// kept are the objects that pointers in calls refer to.
var kept []any

func path(s string) uintptr {
	p, err := unix.BytePtrFromString(s)
	if err != nil {
		panic(err)
	}
	kept = append(kept, p)
	return uintptr(unsafe.Pointer(p))
}

func pointer[T any](p *T) uintptr {
	kept = append(kept, p)
	return uintptr(unsafe.Pointer(p))
}

func buffer(b []byte) uintptr { return pointer(&b[0]) }

// inChild makes system calls in a process of its own, which has one thread and shares nothing with
// this one. The error is that of the first call that fails.
func inChild(calls ...call) error {
	pid, errno := forkCalls(calls)
	if errno != 0 {
		return fmt.Errorf("fork: %w", errno)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(int(pid), &status, unix.WALL, nil); err != nil {
		return err
	}
	switch {
	case status.Signaled():
		return fmt.Errorf("killed by %v", status.Signal())
	case status.ExitStatus() != 0:
		return syscall.Errno(status.ExitStatus())
	}
	return nil
}

// forkCalls forks and makes system calls in the child, which exits with the errno of the first one
// that fails.
//
//go:norace
//go:nosplit
//go:noinline
func forkCalls(calls []call) (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	var result uintptr
	for i := range calls {
		c := &calls[i]
		for n := range c.args {
			if c.args[n] == previous {
				c.args[n] = result
			}
		}
		result, _, errno = syscall.RawSyscall6(c.nr, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5])
		if errno != 0 {
			break
		}
	}
	for {
		_, _, _ = syscall.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(errno), 0, 0)
	}
}

// try makes one system call.
func (c call) try() error {
	_, _, errno := syscall.Syscall6(c.nr, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5])
	if errno != 0 {
		return errno
	}
	return nil
}

// reached returns nil if the kernel has refused a call for one of the given reasons, for which it
// does only after it has checked the privileges.
func reached(err error, because ...syscall.Errno) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok && slices.Contains(because, errno) {
		return nil
	}
	return err
}

// atCwd is AT_FDCWD.
const atCwd = ^uintptr(99)
