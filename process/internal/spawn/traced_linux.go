package spawn

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// GainsPrivileges reports whether the exec of a program may change its user, group or capabilities.
// path is relative to dir, or to the working directory if dir is "".
func GainsPrivileges(dir, path string) bool {
	if dir != "" && path[0] != '/' {
		path = dir + "/" + path
	}
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return false
	}
	_, err := unix.Getxattr(path, "security.capability", nil)
	return st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 || err == nil
}

// Traced starts a program as syscall.ForkExec does, and applies its setup at the traced exec. If
// tracing is refused, the error is EPERM, EACCES or ENOSYS. If pid is positive and err is not nil,
// the child has not executed an instruction of the program, and the caller kills and reaps it.
func Traced(c *Command) (pid int, err error) {
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()
	traced, sys := *c.Attr, *c.Attr.Sys
	sys.Ptrace = true
	traced.Sys = &sys
	pid, err = syscall.ForkExec(c.Path, c.Argv, &traced)
	if err != nil {
		return -1, err
	}
	stopped, err := awaitExecStop(pid)
	if err == nil && !stopped {
		return pid, nil // it was killed, and its exit status is taken like that of any other
	}
	if err == nil {
		c.Setup.noteFiles(pid)
		err = c.Setup.apply(pid)
	}
	if err == nil {
		err = c.Setup.applyNice(pid)
	}
	if err != nil {
		return pid, err
	}
	if err = unix.PtraceDetach(pid); err == unix.ESRCH { // it was killed
		err = nil
	}
	return pid, err
}

// awaitExecStop waits until the child is stopped at its exec, and is false if it ended before.
// Signals that it gets before are delivered.
func awaitExecStop(pid int) (bool, error) {
	const trapped, status = 4, 24 // CLD_TRAPPED, and the offset of si_status in a siginfo_t
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return false, os.NewSyscallError("waitid", err)
		case info.Code != trapped:
			return false, nil
		}
		sig := *(*int32)(unsafe.Add(unsafe.Pointer(&info), status))
		if syscall.Signal(sig) == syscall.SIGTRAP {
			return true, nil
		}
		if err := unix.PtraceCont(pid, int(sig)); err != nil && err != unix.ESRCH {
			return false, os.NewSyscallError("ptrace", err)
		}
	}
}
