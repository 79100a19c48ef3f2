package spawn

import (
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/runas"
)

// orderHead is the beginning of an order, which makes the step execute the program. The step is the
// same executable, so its layout is that of the memory.
type orderHead struct {
	flags    uint32
	umask    uint32
	nice     int32
	uid, gid uint32
	// The parent-death signal, 0 for none, and the parent. The step had it from its fork, but on a
	// thread that may not be the one that executes the program.
	deathSignal, parent int32
	groups              uint32 // how many follow, as uint32
	filters             uint32 // how many follow then, as unix.SockFilter
	envBytes            uint32 // how many bytes follow then: variables that each end with NUL
	namespaces          int32  // the flags of setns(2)
}

const (
	keepFiles = 1 << iota // RLIMIT_NOFILE was set by the parent
	setUmask
	setNice
	setUser
	noNewPrivileges
	byDescriptor // Command.Opened is set, and the environment is in the order
	sandboxed    // Setup.Sandbox is set, and descriptors follow the order: see Step.sendDescriptors
	enterNamespaces
	restrict // by a ruleset of Landlock
	limitCore
	takeTerminal // standard input becomes the controlling terminal
	ownTerminal  // Sandbox.Terminal is set
	protectDevices
)

const (
	headBytes   = int(unsafe.Sizeof(orderHead{}))
	filterBytes = int(unsafe.Sizeof(unix.SockFilter{}))
	// maxFilter is the longest program of seccomp(2), in instructions (BPF_MAXINSNS).
	maxFilter = 4096
)

func (h *orderHead) bytes() []byte { return (*[headBytes]byte)(unsafe.Pointer(h))[:] }

// order encodes the order for the step of a command.
func (c *Command) order() []byte {
	var h orderHead
	if s := c.Setup; s != nil {
		s.order(&h)
	}
	if sig := c.Attr.Sys.Pdeathsig; sig != 0 {
		h.deathSignal, h.parent = int32(sig), int32(os.Getpid())
	}
	if c.Opened == nil {
		return h.bytes()
	}
	h.flags |= byDescriptor
	if c.Attr.Sys.Setctty && c.sandbox() != nil {
		h.flags |= takeTerminal
	}
	var rest []byte
	if u := c.Opened.User; u != nil {
		h.flags |= setUser
		h.uid, h.gid, h.groups = u.UID, u.GID, uint32(len(u.Groups))
		for _, g := range u.Groups {
			rest = append(rest, (*[4]byte)(unsafe.Pointer(&g))[:]...)
		}
	}
	if sandbox := c.sandbox(); sandbox != nil {
		h.filters = uint32(len(sandbox.Filter))
		for i := range sandbox.Filter {
			rest = append(rest, (*[filterBytes]byte)(unsafe.Pointer(&sandbox.Filter[i]))[:]...)
		}
	}
	for _, v := range c.Attr.Env {
		rest = append(append(rest, v...), 0)
		h.envBytes += uint32(len(v)) + 1
	}
	return append(h.bytes(), rest...)
}

// order sets what a setup adds to an order.
func (s *Setup) order(h *orderHead) {
	_, hard := s.Hard[unix.RLIMIT_NOFILE]
	_, soft := s.Soft[unix.RLIMIT_NOFILE]
	if hard || soft {
		h.flags |= keepFiles
	}
	if s.Umask != nil {
		h.flags |= setUmask
		h.umask = uint32(*s.Umask)
	}
	if s.Nice != nil {
		h.flags |= setNice
		h.nice = int32(*s.Nice)
	}
	if s.NoNewPrivileges {
		h.flags |= noNewPrivileges
	}
	if s.Sandbox != nil {
		s.Sandbox.order(h)
	}
}

// order sets what a sandbox adds to an order.
func (s *Sandbox) order(h *orderHead) {
	h.flags |= sandboxed
	if s.PIDFD >= 0 {
		h.flags |= enterNamespaces
		h.flags &^= keepFiles // the limit is set later, on the process that has entered them
		h.namespaces = int32(s.Flags)
	}
	if s.Ruleset >= 0 {
		h.flags |= restrict
	}
	if s.Terminal >= 0 {
		h.flags |= ownTerminal
	}
	if s.ProtectDevices {
		h.flags |= protectDevices
	}
	if s.CoreLimit {
		h.flags |= limitCore
	}
}

// order is an order as the step has read it.
type order struct {
	orderHead
	user   runas.User
	filter []unix.SockFilter
	env    []string
}

// read reads an order. It is false if the step is to exit.
func (o *order) read(fd int) bool {
	if !readFull(fd, o.bytes()) || o.groups > runas.MaxGroups || o.filters > maxFilter {
		return false
	}
	o.user = runas.User{UID: o.uid, GID: o.gid, Groups: make([]uint32, o.groups)}
	if n := len(o.user.Groups); n > 0 {
		if !readFull(fd, unsafe.Slice((*byte)(unsafe.Pointer(&o.user.Groups[0])), 4*n)) {
			return false
		}
	}
	o.filter = make([]unix.SockFilter, o.filters)
	if n := len(o.filter); n > 0 {
		if !readFull(fd, unsafe.Slice((*byte)(unsafe.Pointer(&o.filter[0])), filterBytes*n)) {
			return false
		}
	}
	env := make([]byte, o.envBytes)
	if !readFull(fd, env) {
		return false
	}
	o.env = strings.Split(string(env), "\x00")
	o.env = o.env[:len(o.env)-1] // each variable ends with NUL
	return true
}

// readFull fills buf. It bypasses the runtime: see RunStep.
func readFull(fd int, buf []byte) bool {
	for len(buf) > 0 {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
		switch {
		case errno == unix.EINTR:
		case errno != 0 || n == 0:
			return false
		default:
			buf = buf[n:]
		}
	}
	return true
}

// noteFiles makes syscall.Exec keep the limit of open files that the parent has set: after a Setrlimit
// it does not restore the soft limit from the start of the step.
func (o *order) noteFiles() {
	if o.flags&keepFiles != 0 {
		var limit syscall.Rlimit
		if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
			_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
		}
	}
}

// apply sets the attributes of the order in this process, the step. It exits if one cannot be set.
func (o *order) apply(statusFD int) {
	o.noteFiles()
	if o.flags&setUmask != 0 {
		unix.Umask(int(o.umask))
	}
	if o.flags&setNice != 0 {
		if _, _, errno := unix.RawSyscall(unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 0, uintptr(o.nice)); errno != 0 {
			failStep(statusFD, SetNice, errno)
		}
	}
	if o.flags&setUser != 0 {
		if errno := o.user.Become(); errno != 0 {
			failStep(statusFD, SetUser, errno)
		}
	}
	if o.deathSignal != 0 {
		if errno := runas.SetParentDeathSignal(int(o.deathSignal), int(o.parent)); errno != 0 {
			os.Exit(1)
		}
	}
	if o.flags&noNewPrivileges != 0 {
		if errno := runas.NoNewPrivileges(); errno != 0 {
			failStep(statusFD, SetPrivileges, errno)
		}
	}
}

// execOpened enters the directory and executes the program, whose descriptors are those after
// statusFD. It does not return.
func (o *order) execOpened(statusFD int) {
	dir, program := statusFD+1, statusFD+2
	unix.CloseOnExec(dir)
	unix.CloseOnExec(program)
	if _, _, errno := unix.RawSyscall(unix.SYS_FCHDIR, uintptr(dir), 0, 0); errno != 0 {
		failStep(statusFD, Chdir, errno)
	}
	argv, env := o.program(statusFD)
	empty := [1]byte{}
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(program), uintptr(unsafe.Pointer(&empty)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])), unix.AT_EMPTY_PATH, 0)
	failStep(statusFD, Exec, errno)
}

// program returns the arguments and the environment for an execveat(2). It restores the soft
// RLIMIT_NOFILE from the start of the step, which syscall.Exec does, also if it fails.
func (o *order) program(statusFD int) (argv, env []*byte) {
	argv, err := syscall.SlicePtrFromStrings(os.Args[4:])
	if err != nil {
		failStep(statusFD, Exec, unix.EINVAL)
	}
	if env, err = syscall.SlicePtrFromStrings(o.env); err != nil {
		failStep(statusFD, Exec, unix.EINVAL)
	}
	_ = syscall.Exec("", []string{""}, nil)
	return argv, env
}
