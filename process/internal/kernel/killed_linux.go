package kernel

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Killed reports whether a filter kills a process that makes a system call, as SystemCallFilter= of
// systemd does. To find that out, a child makes it, which is not reaped by a wait for any child
// (__WALL in wait(2)). It is false for a process that has no filter.
func Killed(call, a1, a2, a3 uintptr) bool {
	if !Filtered() {
		return false
	}
	pid, errno := forkCall(call, a1, a2, a3)
	if errno != 0 {
		return true // nothing is known
	}
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(int(pid), &status, unix.WALL, nil)
		if err != unix.EINTR {
			return err != nil || !status.Exited()
		}
	}
}

// allSignals is a set for rt_sigprocmask(2). A blocked SIGSYS of a filter ends the process, and no
// handler is called.
var allSignals = ^uint64(0)

// forkCall forks a child that makes a system call and exits. The child has a copy of the memory in
// which no other goroutine runs: it may make raw system calls only.
//
//go:norace
//go:nosplit
func forkCall(call, a1, a2, a3 uintptr) (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, 0, 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&allSignals)), 0, unsafe.Sizeof(allSignals), 0, 0)
	_, _, _ = syscall.RawSyscall(call, a1, a2, a3)
	for {
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}
}
