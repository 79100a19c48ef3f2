package runas

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Become gives the calling thread the credentials of u for good: the real, effective and saved ids
// and the supplementary groups, no capability unless u is root, and a session keyring of its own
// (session-keyring(7)). The bounding set and the securebits remain, as after login(1), so
// set-user-ID programs work.
//
// The caller is a single thread that executes a program next. Become makes no call that waits for
// other threads or starts one. From its return on, a process of u may send signals to this process,
// but not trace it or read its memory: the kernel marks it as not dumpable (PR_SET_DUMPABLE).
func (u *User) Become() unix.Errno {
	if errno := joinKeyring(); errno != 0 {
		return errno
	}
	if errno := u.setIDs(); errno != 0 {
		return errno
	}
	if u.UID != 0 {
		if errno := dropCapabilities(); errno != 0 {
			return errno
		}
	}
	return 0
}

// BecomeUnprivileged is Become, and leaves no capability to root either, and none in the bounding set
// unless this process may not change that. A nil User keeps the ids.
//
// A process that shares its memory or its stack with nothing may call it between fork and exec, where
// the Go runtime must not run: like all that it calls, it only makes system calls, does not grow the
// stack, and is not instrumented by the race detector.
//
//go:norace
//go:nosplit
func (u *User) BecomeUnprivileged() unix.Errno {
	if errno := dropBounding(); errno != 0 {
		return errno
	}
	if u != nil {
		if errno := joinKeyring(); errno != 0 {
			return errno
		}
		if errno := u.setIDs(); errno != 0 {
			return errno
		}
	}
	return dropCapabilities()
}

// dropBounding empties the bounding set. Without CAP_SETPCAP it does nothing: then no_new_privs alone
// keeps an exec from granting capabilities.
//
//go:norace
//go:nosplit
func dropBounding() unix.Errno {
	for capability := uintptr(0); ; capability++ {
		switch errno := prctl(unix.PR_CAPBSET_DROP, capability); errno {
		case 0:
		case unix.EINVAL, unix.EPERM: // behind the last one, or not permitted
			return 0
		default:
			return errno
		}
	}
}

// SetParentDeathSignal sets the parent-death signal of the calling thread (PR_SET_PDEATHSIG), which a
// change of the user clears. The error is ESRCH if the parent is another process than expected, and
// the signal was missed.
func SetParentDeathSignal(sig, parent int) unix.Errno {
	if errno := prctl(unix.PR_SET_PDEATHSIG, uintptr(sig)); errno != 0 {
		return errno
	}
	if now, _, _ := unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0); int(now) != parent {
		return unix.ESRCH
	}
	return 0
}

// setIDs sets the groups first, which needs the capability that setting the user takes away. It
// checks the result: nothing else shows that the calls had the right arguments.
//
//go:norace
//go:nosplit
func (u *User) setIDs() unix.Errno {
	var first unsafe.Pointer
	if len(u.Groups) > 0 {
		first = unsafe.Pointer(&u.Groups[0])
	}
	if _, _, errno := syscall.RawSyscall6(sysSetgroups, uintptr(len(u.Groups)), uintptr(first), 0, 0, 0, 0); errno != 0 {
		return errno
	}
	gid, uid := uintptr(u.GID), uintptr(u.UID)
	if _, _, errno := syscall.RawSyscall6(sysSetresgid, gid, gid, gid, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.RawSyscall6(sysSetresuid, uid, uid, uid, 0, 0, 0); errno != 0 {
		return errno
	}
	if errno := checkIDs(sysGetresgid, u.GID); errno != 0 {
		return errno
	}
	return checkIDs(sysGetresuid, u.UID)
}

//go:norace
//go:nosplit
func checkIDs(get uintptr, id uint32) unix.Errno {
	var ids [3]uint32
	_, _, errno := syscall.RawSyscall6(get, uintptr(unsafe.Pointer(&ids[0])), uintptr(unsafe.Pointer(&ids[1])), uintptr(unsafe.Pointer(&ids[2])), 0, 0, 0)
	if errno == 0 && (ids[0] != id || ids[1] != id || ids[2] != id) {
		errno = unix.EPERM
	}
	return errno
}

// dropCapabilities empties the permitted, effective, inheritable and ambient set. A change from
// root empties only some of them, and none with SECBIT_NO_SETUID_FIXUP; a change from another user
// empties none.
//
//go:norace
//go:nosplit
func dropCapabilities() unix.Errno {
	errno := prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL)
	if errno != 0 && errno != unix.EINVAL { // EINVAL before Linux 4.3
		return errno
	}
	head, none := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, capabilities{}
	_, _, errno = syscall.RawSyscall6(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&none[0])), 0, 0, 0, 0)
	return errno
}

// joinKeyring replaces the session keyring, in which this process may have keys, by an empty one.
// It comes before the change of the user, whose quota of keys is small. A sandbox that refuses
// keyctl(2) refuses it to the command, too.
//
//go:norace
//go:nosplit
func joinKeyring() unix.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0, 0)
	switch errno {
	case unix.ENOSYS, unix.EPERM, unix.EACCES:
		return 0
	}
	return errno
}

// NoNewPrivileges makes the exec of this process and its descendants grant no privileges
// (PR_SET_NO_NEW_PRIVS).
//
//go:norace
//go:nosplit
func NoNewPrivileges() unix.Errno { return prctl(unix.PR_SET_NO_NEW_PRIVS, 1) }

//go:norace
//go:nosplit
func prctl(option int, arg uintptr) unix.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_PRCTL, uintptr(option), arg, 0, 0, 0, 0)
	return errno
}
