package seccomp

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Install makes the filter that of the calling thread and of all processes that descend from it. It
// needs no_new_privs (PR_SET_NO_NEW_PRIVS), or CAP_SYS_ADMIN in the user namespace of the thread. The
// filter is not empty.
//
// It makes raw system calls only and does not allocate, so it may be called between a raw clone(2)
// and the exec. Those of package unix go through a wrapper that the race detector instruments.
//
//go:norace
//go:nosplit
func Install(filter []unix.SockFilter) unix.Errno {
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// Before Linux 5.16 a filter turns on a mitigation (spec_store_bypass_disable) that slows programs
	// down, unless this flag is set. Linux 4.17 has it.
	_, _, errno := syscall.RawSyscall6(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, uintptr(unsafe.Pointer(&program)), 0, 0, 0)
	if errno == unix.EINVAL {
		_, _, errno = syscall.RawSyscall6(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)), 0, 0, 0)
	}
	return errno
}

// available returns 0 if the kernel knows the action of a filter.
func available(action *uint32) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(action)))
	return errno
}
