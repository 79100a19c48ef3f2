package seccomp

import (
	"cmp"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/kernel"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// Options is what else enforces the sandbox, and what the filter adds to it. The zero value is the
// strictest filter, apart from RefuseBareOpen and ReadOnly.
type Options struct {
	// Network is that of the sandbox. Without a network namespace of its own a command gets no
	// sockets unless it is sandbox.FullNetwork.
	Network    sandbox.Mode
	OwnNetwork bool // the command has a network namespace of its own
	// OwnProcesses is that the command has a PID namespace of its own, and Landlock that it is in a
	// Landlock domain. Either one prevents it from tracing other processes, so that it may trace its
	// own. With neither, ptrace(2) and what has the same permission is refused.
	OwnProcesses, Landlock bool
	// UnixSockets is that of the sandbox. Without Unix sockets socketpair(2) makes streams and
	// SOCK_SEQPACKET only: a pair of datagram sockets can be connected to any other.
	UnixSockets sandbox.UnixSockets
	// RefuseBareOpen refuses open(2) with the access mode 3, which opens a device for ioctl(2) alone.
	// landlock.BareOpen says whether that is needed.
	RefuseBareOpen bool
	// ReadOnly refuses all changes of modes, owners, times and extended attributes. It is for commands
	// that may not write any file where nothing else can refuse that: Landlock alone.
	ReadOnly bool
}

// WhyNot says why this machine cannot enforce the filter, "" if it can.
func WhyNot() string {
	if _, known := archOf(runtime.GOARCH); !known {
		return "there is no filter of system calls for the architecture " + runtime.GOARCH
	}
	action := uint32(unix.SECCOMP_RET_ERRNO)
	if kernel.Killed(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action))) {
		return "a seccomp filter kills what calls seccomp(2), as SystemCallFilter= of systemd does"
	}
	switch errno := available(&action); errno {
	case 0:
		return ""
	case unix.ENOSYS, unix.EINVAL: // EINVAL before Linux 4.14
		return kernel.Absent("filters of system calls (seccomp(2))", 4, 14)
	default:
		return "seccomp(2) is refused: " + errno.Error()
	}
}

// Filter returns the filter for this machine as a program for Install, or nil if there is none for
// its architecture. It is a new one at each call.
func Filter(o Options) []unix.SockFilter {
	a, known := archOf(runtime.GOARCH)
	if !known {
		return nil
	}
	return a.filter(o)
}

// arch is an architecture as the filter sees it.
type arch struct {
	audit  uint32 // AUDIT_ARCH_…
	number func(*call) int
}

func archOf(goarch string) (a arch, known bool) {
	switch goarch {
	case "amd64":
		return arch{unix.AUDIT_ARCH_X86_64, func(c *call) int { return c.amd64 }}, true
	case "arm64":
		return arch{unix.AUDIT_ARCH_AARCH64, func(c *call) int { return c.arm64 }}, true
	}
	return arch{}, false
}

// filter assembles the program: the architecture, then a search for the number of the call. Linux 5.11
// and newer execute it only for calls whose arguments count: the kernel finds out which calls are
// allowed whatever their arguments are when the filter is installed.
func (a arch) filter(o Options) []unix.SockFilter {
	p := program{
		load(offsetArch),
		jump(unix.BPF_JEQ, a.audit, 1, 0),
		fail(unix.ENOSYS),
		load(offsetNumber),
		jump(unix.BPF_JGT, lastCall, 0, 1), // later calls, and those of x32, whose numbers begin at 1<<30
		fail(unix.ENOSYS),
	}
	var parts []part
	for i := range calls {
		c := &calls[i]
		if number := a.number(c); number >= 0 {
			if then := o.decide(c); then != nil {
				parts = append(parts, part{uint32(number), then})
			}
		}
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.number, b.number) })
	return append(p, search(parts)...)
}

// decide returns the part of the filter for a call, all of whose paths return; nil to allow it.
func (o *Options) decide(c *call) program {
	switch c.decision {
	case refuse:
		return program{fail(unix.EPERM)}
	case absent:
		return program{fail(unix.ENOSYS)}
	case memory:
		if !o.OwnProcesses && !o.Landlock {
			return program{fail(unix.EPERM)}
		}
	case metadata:
		if o.ReadOnly {
			return program{fail(unix.EROFS)}
		}
	case ioctlCommand:
		return o.ioctl()
	case fcntlCommand:
		return refuseLeases()
	case socketFamily:
		return o.socket()
	case socketpairType:
		return o.socketpair()
	case cloneFlags:
		return program{loadArg(0), jump(unix.BPF_JSET, newNamespaces, 0, 1), fail(unix.EPERM), ret(unix.SECCOMP_RET_ALLOW)}
	case unshareFlags:
		return program{loadArg(0), jump(unix.BPF_JSET, ^uint32(sharedByThreads), 0, 1), fail(unix.EPERM), ret(unix.SECCOMP_RET_ALLOW)}
	case openMode:
		return o.open(c)
	case newMode:
		return append(refuseSetID(c), ret(unix.SECCOMP_RET_ALLOW))
	case changedMode:
		if o.ReadOnly {
			return program{fail(unix.EROFS)}
		}
		return append(refuseSetID(c), ret(unix.SECCOMP_RET_ALLOW))
	}
	return nil
}
