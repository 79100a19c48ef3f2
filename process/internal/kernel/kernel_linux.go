package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// AtLeast reports whether the kernel has this version or a later one.
func AtLeast(major, minor int) bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return true
	}
	return releaseAtLeast(unix.ByteSliceToString(u.Release[:]), major, minor)
}

// releaseAtLeast is AtLeast for a release such as 6.18.4-amd64. One that is not understood is late
// enough.
func releaseAtLeast(release string, major, minor int) bool {
	var has, hasMinor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &has, &hasMinor); n < 2 {
		return true
	}
	return has > major || has == major && hasMinor >= minor
}

// Filtered reports whether a filter of system calls applies to the calling thread.
func Filtered() bool {
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return err == nil && mode == unix.SECCOMP_MODE_FILTER
}

// Absent says why there is no system call (ENOSYS) that Linux has since a version. Many filters have
// this error for what they do not know.
func Absent(call string, major, minor int) string {
	switch {
	case !AtLeast(major, minor):
		return fmt.Sprintf("the kernel is older than Linux %d.%d, which has %s", major, minor, call)
	case Filtered():
		return "a seccomp filter hides " + call + ", as that of a sandbox of Runnel or of a container does"
	}
	return "this kernel has no " + call
}

// RefusesNamespaces reports whether a filter refuses to make a user namespace. The kernel refuses these
// flags with EINVAL before it asks whether the caller may make one.
func RefusesNamespaces() bool {
	const flags = unix.CLONE_NEWUSER | unix.CLONE_PARENT_SETTID
	return Filtered() && (Killed(unix.SYS_UNSHARE, flags, 0, 0) || unix.Unshare(flags) != unix.EINVAL)
}

// RefusesMounts reports whether a filter refuses mount(2). The kernel refuses a null pointer with EFAULT
// before it asks whether the caller may mount.
func RefusesMounts() bool {
	if !Filtered() {
		return false
	}
	if Killed(unix.SYS_MOUNT, 0, 0, 0) {
		return true
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_MOUNT, 0, 0, 0, 0, 0, 0)
	return errno != unix.EFAULT
}
