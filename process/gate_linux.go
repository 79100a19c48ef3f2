package process

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/serverwatch"
)

// A child that has limits or attributes is let through a gate: it is there, but has not executed an instruction of its program, while
// the limits are put on it. Limits that are put on later miss a grandchild that is forked first, and those of this process
// must never be touched, not for a moment: they would be everybody's.
//
// The gate is the trap that a traced child springs at its exec (ptrace(2)). A program that gains rights by its exec
// (set-user-ID, capabilities) does not gain them when an unprivileged process traces it; and a sandbox may refuse to trace. There a
// step between is started: this very program, which waits to be let through and then executes the other (see Step). The same
// step executes what may wait for a file system.

var errNoStep = errors.New("process: Step was not called")

// gainsRights says whether the exec of a file may change user, group or capabilities.
func gainsRights(dir, path string) bool {
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

// trapped is gated by the trap. All of it is done by one thread, which is the tracer.
func trapped(path string, argv []string, attr *syscall.ProcAttr, limits *treeLimits) (int, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	traced, sys := *attr, *attr.Sys
	sys.Ptrace = true
	traced.Sys = &sys
	pid, err := syscall.ForkExec(path, argv, &traced)
	if err != nil {
		return -1, err
	}
	sprung, err := awaitTrap(pid)
	if err == nil && !sprung {
		return pid, nil // somebody killed it: it has an exit like any other
	}
	if err == nil {
		limits.noteFiles(pid)
		err = limits.admit(pid)
	}
	if err == nil {
		err = limits.setNice(pid)
	}
	if err != nil {
		discard(pid)
		return -1, err
	}
	if err = unix.PtraceDetach(pid); err != nil && err != unix.ESRCH {
		discard(pid)
		return -1, err
	}
	return pid, nil
}

// awaitTrap waits until the child stands in the trap, and is false if it died before. Other signals that it gets
// first are handed on to it.
func awaitTrap(pid int) (bool, error) {
	const trapped, status = 4, 24 // CLD_TRAPPED, and the place of si_status in a siginfo_t
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

// discard ends a child whose limits could not be set, which nobody knows of yet.
func discard(pid int) {
	_ = unix.Kill(pid, unix.SIGKILL)
	_, _ = exited(pid, 0)
	reaping.Lock()
	defer reaping.Unlock()
	_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
}

// stepName is what the step between is called, so that it is known by its first argument.
const stepName = "runnel-step"

// The descriptors of the step beside the three of every program.
const (
	stepGo     = 3 // to the step: an order when it may go on, nothing if it may not
	stepStatus = 4 // from the step: a byte when it stands before the gate; a stepError if it fails; closed by the exec
)

// order is what the step is told when it may go on: flags, the umask in two bytes, the nice value.
type order [4]byte

const (
	keepFiles = 1 << iota // its limit of open files is not to be touched
	setUmask
	setNice
)

func (t *treeLimits) order() (o order) {
	_, files := t.limits[OpenFiles]
	_, soft := t.attributes.Soft[SoftOpenFiles]
	if files || soft {
		o[0] |= keepFiles
	}
	if umask := t.attributes.Umask; umask != nil {
		o[0] |= setUmask
		binary.NativeEndian.PutUint16(o[1:], uint16(*umask))
	}
	if nice := t.attributes.Nice; nice != nil {
		o[0] |= setNice
		o[3] = byte(int8(*nice))
	}
	return o
}

// obey does in the step what it was told to.
func (o *order) obey() syscall.Errno {
	if o[0]&keepFiles != 0 { // else the runtime restores the limit that it found when it started
		var limit syscall.Rlimit
		if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
			_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
		}
	}
	if o[0]&setUmask != 0 {
		unix.Umask(int(binary.NativeEndian.Uint16(o[1:])))
	}
	if o[0]&setNice != 0 {
		_, _, errno := unix.RawSyscall(unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 0, uintptr(int8(o[3])))
		return errno
	}
	return 0
}

// stepError is what the step failed at.
type stepError struct {
	op    uint32
	errno syscall.Errno
}

const (
	opExec = iota
	opChdir
	opNice
)

func (e *stepError) Error() string { return e.errno.Error() }

func (e *stepError) Unwrap() error { return e.errno }

var stepReady atomic.Bool

// Step has to be called first in main by a program that starts others with limits, or from file systems that may make
// an exec wait, or has Options.Keeper: if this process was started as the step between, or as a keeper whose server is
// dead by now, it does not return.
// The arguments of the step are the working directory, "" for its own, the program, and that one's arguments.
func Step() {
	if serverwatch.Received != nil {
		keep(serverwatch.Received)
	}
	if len(os.Args) < 4 || os.Args[0] != stepName {
		stepReady.Store(true)
		return
	}
	unix.CloseOnExec(stepGo)
	unix.CloseOnExec(stepStatus)
	debug.SetGCPercent(-1)
	runtime.LockOSThread() // the nice value is that of a thread
	_, _ = unix.Write(stepStatus, []byte{1})
	// From here on the runtime must have no cause for another thread: the limit may be a single one. So it is not
	// told that this one waits.
	var o order
	if n, _, _ := unix.RawSyscall(unix.SYS_READ, stepGo, uintptr(unsafe.Pointer(&o)), uintptr(len(o))); n != uintptr(len(o)) {
		os.Exit(1)
	}
	if errno := o.obey(); errno != 0 {
		failStep(opNice, errno)
	}
	if dir := os.Args[1]; dir != "" {
		path, _ := unix.BytePtrFromString(dir) // no argument holds NUL
		if _, _, errno := unix.RawSyscall(unix.SYS_CHDIR, uintptr(unsafe.Pointer(path)), 0, 0); errno != 0 {
			failStep(opChdir, errno)
		}
	}
	err := syscall.Exec(os.Args[2], os.Args[3:], os.Environ())
	errno, _ := errors.AsType[syscall.Errno](err)
	failStep(opExec, errno)
}

func failStep(op uint32, errno syscall.Errno) {
	b := binary.NativeEndian.AppendUint32(nil, op)
	_, _ = unix.Write(stepStatus, binary.NativeEndian.AppendUint32(b, uint32(errno)))
	os.Exit(1)
}

// step is the process between, as its parent has it.
type step struct {
	order  *os.File
	status *os.File
}

// forkStep starts the process between. It does not wait for it.
func forkStep(path string, argv []string, attr *syscall.ProcAttr) (int, *step, error) {
	goRead, goWrite, err := os.Pipe()
	if err != nil {
		return -1, nil, err
	}
	statusRead, statusWrite, err := os.Pipe()
	if err != nil {
		_, _ = goRead.Close(), goWrite.Close()
		return -1, nil, err
	}
	s := &step{order: goWrite, status: statusRead}
	between := *attr
	between.Dir = ""
	between.Files = append(between.Files[:len(between.Files):len(between.Files)], goRead.Fd(), statusWrite.Fd())
	pid, err := syscall.ForkExec("/proc/self/exe", append([]string{stepName, attr.Dir, path}, argv...), &between)
	_, _ = goRead.Close(), statusWrite.Close()
	if err != nil {
		s.close()
		return -1, nil, err
	}
	return pid, s, nil
}

func (s *step) close() { _, _ = s.order.Close(), s.status.Close() }

// pass puts the limits, nil for none, on the process between and returns when that has become the program, or is dead. The end
// of ctx kills it. After an error it has not executed anything of the program, and is to be discarded.
func (s *step) pass(ctx context.Context, pid int, limits *treeLimits) error {
	defer s.close()
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(killed)
		_ = unix.Kill(pid, unix.SIGKILL) // nobody has reaped it
	})
	err := s.letThrough(pid, limits)
	if !stop() {
		<-killed
	}
	return err
}

func (s *step) letThrough(pid int, limits *treeLimits) error {
	switch _, err := io.ReadFull(s.status, make([]byte, 1)); err {
	case nil:
	case io.EOF: // it is dead: the runtime gives up where it gets no threads or no memory
		return syscall.EAGAIN
	default:
		return err
	}
	var o order
	if limits != nil {
		if err := limits.admit(pid); err != nil {
			return err
		}
		o = limits.order()
	}
	if _, err := s.order.Write(o[:]); err != nil && !errors.Is(err, syscall.EPIPE) {
		return err
	}
	var status [8]byte
	switch _, err := io.ReadFull(s.status, status[:]); err {
	case io.EOF: // the exec closed it, or it was killed: then it has an exit like any other
		return nil
	case nil:
		return &stepError{binary.NativeEndian.Uint32(status[:]), syscall.Errno(binary.NativeEndian.Uint32(status[4:]))}
	default:
		return err
	}
}
