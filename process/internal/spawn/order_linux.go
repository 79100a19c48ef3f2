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
	envBytes            uint32 // how many bytes follow then: variables that each end with NUL
}

const (
	keepFiles = 1 << iota // RLIMIT_NOFILE was set by the parent
	setUmask
	setNice
	setUser
	noNewPrivileges
	byDescriptor // Command.Opened is set, and the environment is in the order
)

const headBytes = int(unsafe.Sizeof(orderHead{}))

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
	var rest []byte
	if u := c.Opened.User; u != nil {
		h.flags |= setUser
		h.uid, h.gid, h.groups = u.UID, u.GID, uint32(len(u.Groups))
		for _, g := range u.Groups {
			rest = append(rest, (*[4]byte)(unsafe.Pointer(&g))[:]...)
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
}

// order is an order as the step has read it.
type order struct {
	orderHead
	user runas.User
	env  []string
}

// read reads an order. It is false if the step is to exit.
func (o *order) read(fd int) bool {
	if !readFull(fd, o.bytes()) || o.groups > runas.MaxGroups {
		return false
	}
	o.user = runas.User{UID: o.uid, GID: o.gid, Groups: make([]uint32, o.groups)}
	if n := len(o.user.Groups); n > 0 {
		if !readFull(fd, unsafe.Slice((*byte)(unsafe.Pointer(&o.user.Groups[0])), 4*n)) {
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

// apply sets the attributes of the order in this process, the step. It exits if one cannot be set.
func (o *order) apply(statusFD int) {
	if o.flags&keepFiles != 0 { // after a Setrlimit, syscall.Exec does not restore the soft limit from the start of the step
		var limit syscall.Rlimit
		if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
			_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
		}
	}
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
	argv, err := syscall.SlicePtrFromStrings(os.Args[4:])
	if err != nil {
		failStep(statusFD, Exec, unix.EINVAL)
	}
	env, err := syscall.SlicePtrFromStrings(o.env)
	if err != nil {
		failStep(statusFD, Exec, unix.EINVAL)
	}
	_ = syscall.Exec("", []string{""}, nil) // it fails, and restores the soft RLIMIT_NOFILE from the start of the step
	empty := [1]byte{}
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(program), uintptr(unsafe.Pointer(&empty)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])), unix.AT_EMPTY_PATH, 0)
	failStep(statusFD, Exec, errno)
}
