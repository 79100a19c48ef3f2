package spawn

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/landlock"
	"github.com/runnel-rpc/runnel/process/internal/runas"
	"github.com/runnel-rpc/runnel/process/internal/seccomp"
)

// entry is an order with a sandbox, prepared for processes that are between a fork and the exec of the
// command. The Go runtime does not exist there: the fork copies one thread of it. So the methods that
// are marked nosplit call only each other, system calls, and functions with the same marks, do not
// allocate, and are not instrumented by the race detector. Those of package unix go through a wrapper
// that is instrumented.
type entry struct {
	flags       uint32
	umask       uintptr
	nice        uintptr
	user        *runas.User // nil for no change
	deathSignal uintptr
	namespaces  uintptr
	order       uintptr // the socket
	status      uintptr // where failures and Entered are written
	fds         received
	filter      []unix.SockFilter
	core        unix.Rlimit
	devices     [len(devices)]*byte // paths
	nullInput   bool                // the standard input is /dev/null
	argv, env   []*byte
	blocked     bool      // all signals are blocked, and the mask before that is in mask
	mask, all   uint64    // sets of signals
	old, none   [8]uint64 // of rt_sigaction(2)
	empty       [1]byte   // a path
}

// execSandboxed executes the program in its sandbox. It does not return.
func (o *order) execSandboxed(orderFD, statusFD int) {
	fds, ok := o.receive(orderFD)
	if !ok {
		os.Exit(1)
	}
	o.noteFiles()
	e := &entry{
		flags: o.flags, umask: uintptr(o.umask), nice: uintptr(o.nice), deathSignal: uintptr(o.deathSignal),
		namespaces: uintptr(o.namespaces), order: uintptr(orderFD), status: uintptr(statusFD), fds: fds,
		filter: o.filter, core: unix.Rlimit{Cur: 1, Max: 1}, all: ^uint64(0),
	}
	if o.flags&setUser != 0 {
		e.user = &o.user
	}
	e.argv, e.env = o.program(statusFD)
	if o.flags&enterNamespaces != 0 {
		if o.flags&protectDevices != 0 {
			e.prepareDevices()
		}
		e.enter()
	}
	e.become()
	runtime.KeepAlive(o)
}

// enter makes the process that becomes the command, in the namespaces, and exits.
//
//go:norace
//go:nosplit
//go:noinline
func (e *entry) enter() {
	// The handlers of the runtime must not run in the new processes.
	e.call(SetSandbox, unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&e.all)), uintptr(unsafe.Pointer(&e.mask)), 8, 0)
	e.blocked = true
	if e.fork() != 0 {
		exit(0)
	}
	e.call(SetSandbox, unix.SYS_SETNS, uintptr(e.fds.pidfd), e.namespaces, 0, 0, 0)
	if pid := e.fork(); pid != 0 {
		own, _, _ := syscall.RawSyscall6(unix.SYS_GETPID, 0, 0, 0, 0, 0, 0)
		e.report(entered, own, pid)
		exit(0)
	}
	// If the processes before end without a report, the server notices this by the end of file.
	syscall.RawSyscall6(unix.SYS_CLOSE, e.status, 0, 0, 0, 0, 0)
	e.status = e.order
	if e.flags&protectDevices != 0 {
		e.protectDevices()
	}
	if e.flags&ownTerminal != 0 {
		e.moveToTerminal()
	}
	if !e.awaitLimits() {
		exit(1)
	}
	e.call(SetTerminal, unix.SYS_SETSID, 0, 0, 0, 0, 0)
	e.become()
}

// devices are those of the machine which are in the /dev of a sandbox. The first one is the standard
// input of commands that have none.
var devices = [...]string{os.DevNull, "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"}

// prepareDevices prepares protectDevices.
func (e *entry) prepareDevices() {
	for i, path := range devices {
		e.devices[i], _ = unix.BytePtrFromString(path) // it contains no NUL
	}
	var input, null unix.Stat_t
	e.nullInput = unix.Fstat(0, &input) == nil && unix.Stat(os.DevNull, &null) == nil && input.Rdev == null.Rdev &&
		input.Mode&unix.S_IFMT == unix.S_IFCHR
}

// protectDevices makes the mounts of devices read-only, so that a command whose user owns them cannot
// change their mode and times. They can still be written to, and remain usable: bwrap would make them
// nodev, too. The standard input was opened outside, on another mount.
//
//go:norace
//go:nosplit
func (e *entry) protectDevices() {
	for i := range e.devices {
		path := uintptr(unsafe.Pointer(e.devices[i]))
		e.call(SetSandbox, unix.SYS_MOUNT, path, path, 0, unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NOEXEC, 0)
	}
	if !e.nullInput {
		return
	}
	fd := e.call(SetSandbox, unix.SYS_OPENAT, atFDCWD, uintptr(unsafe.Pointer(e.devices[0])), unix.O_RDONLY|unix.O_CLOEXEC, 0, 0)
	e.call(SetSandbox, unix.SYS_DUP3, fd, 0, 0, 0, 0)
	syscall.RawSyscall6(unix.SYS_CLOSE, fd, 0, 0, 0, 0, 0)
}

// atFDCWD is unix.AT_FDCWD, which is negative.
const atFDCWD = ^uintptr(-unix.AT_FDCWD - 1)

// fork makes a sibling of this process, whose memory is a copy. It returns 0 in the new process.
//
//go:norace
//go:nosplit
func (e *entry) fork() (pid uintptr) {
	return e.call(SetSandbox, unix.SYS_CLONE, unix.CLONE_PARENT|uintptr(unix.SIGCHLD), 0, 0, 0, 0)
}

// moveToTerminal replaces the standard descriptors. It comes before the limit of open files.
//
//go:norace
//go:nosplit
func (e *entry) moveToTerminal() {
	for fd := uintptr(0); fd <= 2; fd++ {
		e.call(SetTerminal, unix.SYS_DUP3, uintptr(e.fds.terminal), fd, 0, 0, 0)
	}
}

// awaitLimits waits until the server has set the limits of this process, which is the only one in the
// limit of processes by then. It is false if the server has ended or gives up.
//
//go:norace
//go:nosplit
func (e *entry) awaitLimits() bool {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_READ, e.order, uintptr(unsafe.Pointer(&e.old[0])), 1, 0, 0, 0)
		if errno != unix.EINTR {
			return errno == 0 && n == 1
		}
	}
}

// become makes this process the command. It does not return.
//
//go:norace
//go:nosplit
//go:noinline
func (e *entry) become() {
	if e.flags&takeTerminal != 0 {
		e.call(SetTerminal, unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0, 0, 0)
	}
	if e.flags&setUmask != 0 {
		syscall.RawSyscall6(unix.SYS_UMASK, e.umask, 0, 0, 0, 0, 0)
	}
	if e.flags&setNice != 0 {
		e.call(SetNice, unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 0, e.nice, 0, 0)
	}
	if errno := e.user.BecomeUnprivileged(); errno != 0 {
		op := SetSandbox
		if e.user != nil {
			op = SetUser
		}
		e.fail(op, errno)
	}
	if e.deathSignal != 0 {
		e.dieWithServer()
	}
	e.restrict()
	e.call(Chdir, unix.SYS_FCHDIR, uintptr(e.fds.dir), 0, 0, 0, 0)
	if e.blocked {
		e.restoreSignals()
	}
	e.call(Exec, unix.SYS_EXECVEAT, uintptr(e.fds.program), uintptr(unsafe.Pointer(&e.empty)),
		uintptr(unsafe.Pointer(&e.argv[0])), uintptr(unsafe.Pointer(&e.env[0])), unix.AT_EMPTY_PATH)
}

// dieWithServer sets the parent-death signal. The parent has no process id in a PID namespace, so the
// socket shows whether the signal was missed.
//
//go:norace
//go:nosplit
func (e *entry) dieWithServer() {
	e.call(SetSandbox, unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, e.deathSignal, 0, 0, 0)
	_, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, e.order, uintptr(unsafe.Pointer(&e.old[0])), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	if errno != unix.EAGAIN {
		exit(1)
	}
}

// restrict applies what the exec and all descendants keep. EPERM of the limit means that the hard one is
// 0 already.
//
//go:norace
//go:nosplit
func (e *entry) restrict() {
	if e.flags&limitCore != 0 {
		_, _, errno := syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_CORE, uintptr(unsafe.Pointer(&e.core)), 0, 0, 0)
		if errno != 0 && errno != unix.EPERM {
			e.fail(SetSandbox, errno)
		}
	}
	e.call(SetPrivileges, unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if e.flags&restrict != 0 {
		if errno := landlock.Restrict(e.fds.ruleset); errno != 0 {
			e.fail(SetSandbox, errno)
		}
	}
	if len(e.filter) > 0 {
		if errno := seccomp.Install(e.filter); errno != 0 {
			e.fail(SetSandbox, errno)
		}
	}
}

// restoreSignals removes the handlers of the runtime, as the exec does too, and unblocks the signals.
// Ignored signals remain ignored.
//
//go:norace
//go:nosplit
func (e *entry) restoreSignals() {
	const ignore = 1 // SIG_IGN; the handler is the first word of the structure
	for sig := uintptr(1); sig <= 64; sig++ {
		_, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, sig, 0, uintptr(unsafe.Pointer(&e.old[0])), 8, 0, 0)
		if errno == 0 && uintptr(e.old[0]) > ignore {
			syscall.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&e.none[0])), 0, 8, 0, 0)
		}
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&e.mask)), 0, 8, 0, 0)
}

// call makes a system call, and exits if it fails.
//
//go:norace
//go:nosplit
func (e *entry) call(op Op, trap, a1, a2, a3, a4, a5 uintptr) uintptr {
	r, _, errno := syscall.RawSyscall6(trap, a1, a2, a3, a4, a5, 0)
	if errno != 0 {
		e.fail(op, errno)
	}
	return r
}

// fail reports a failure and exits.
//
//go:norace
//go:nosplit
func (e *entry) fail(op Op, errno unix.Errno) {
	e.report(failed, uintptr(op), uintptr(errno))
	exit(1)
}

// report writes what readStatus reads.
//
//go:norace
//go:nosplit
func (e *entry) report(kind, first, second uintptr) {
	b := [statusBytes / 4]uint32{uint32(kind), uint32(first), uint32(second)}
	syscall.RawSyscall6(unix.SYS_WRITE, e.status, uintptr(unsafe.Pointer(&b[0])), statusBytes, 0, 0, 0)
}

//go:norace
//go:nosplit
func exit(code uintptr) {
	for {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, code, 0, 0, 0, 0, 0)
	}
}
