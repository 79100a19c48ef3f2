package seccomp

import (
	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// Arguments are compared as 32 bits, since the kernel uses no more of those that are checked: int,
// unsigned int, and flags.

// newNamespaces are the flags of clone(2) that make a namespace. CLONE_NEWTIME is not among them:
// its bit is part of the signal there.
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// sharedByThreads are the flags of unshare(2) that make no namespace.
const sharedByThreads = unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SYSVSEM | unix.CLONE_THREAD | unix.CLONE_SIGHAND | unix.CLONE_VM

// fileAttributes are the ioctl(2) commands that change a file that is open for reading only.
var fileAttributes = []uint32{
	0x40086602, // FS_IOC_SETFLAGS
	0x401c5820, // FS_IOC_FSSETXATTR
	0x40087602, // FS_IOC_SETVERSION
	0x40806685, // FS_IOC_ENABLE_VERITY
	0x800c6613, // FS_IOC_SET_ENCRYPTION_POLICY
}

func (o *Options) ioctl() program {
	p := program{loadArg(1)}
	for _, command := range []uint32{unix.TIOCSTI, unix.TIOCLINUX} {
		p.when(command, fail(unix.EPERM))
	}
	if o.ReadOnly {
		for _, command := range fileAttributes {
			p.when(command, fail(unix.EROFS))
		}
	}
	return append(p, ret(unix.SECCOMP_RET_ALLOW))
}

func (o *Options) socket() program {
	p := program{loadArg(0)}
	local, network := fail(unix.EACCES), fail(unix.EACCES)
	if o.UnixSockets == sandbox.FullUnixSockets {
		local = ret(unix.SECCOMP_RET_ALLOW)
	}
	if o.OwnNetwork || o.Network == sandbox.FullNetwork {
		network = ret(unix.SECCOMP_RET_ALLOW)
	}
	p.when(unix.AF_UNIX, local)
	p.when(unix.AF_INET, network)
	p.when(unix.AF_INET6, network)
	return append(p,
		jump(unix.BPF_JEQ, unix.AF_NETLINK, 0, 3),
		loadArg(2),
		jump(unix.BPF_JEQ, unix.NETLINK_ROUTE, 0, 1),
		network,
		fail(unix.EAFNOSUPPORT),
	)
}

func (o *Options) socketpair() program {
	p := program{loadArg(0), jump(unix.BPF_JEQ, unix.AF_UNIX, 1, 0), fail(unix.EAFNOSUPPORT)}
	if o.UnixSockets != sandbox.FullUnixSockets {
		const typeMask = 0xf // the rest are SOCK_CLOEXEC and SOCK_NONBLOCK
		p = append(p, loadArg(1), unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: typeMask},
			jump(unix.BPF_JEQ, unix.SOCK_STREAM, 2, 0), jump(unix.BPF_JEQ, unix.SOCK_SEQPACKET, 1, 0), fail(unix.EACCES))
	}
	return append(p, ret(unix.SECCOMP_RET_ALLOW))
}

// open decides about open(2) and openat(2), whose flags are the second or the third argument.
func (o *Options) open(c *call) program {
	if !o.RefuseBareOpen {
		return nil
	}
	flags := 2
	if c.name == "open" {
		flags = 1
	}
	return program{
		loadArg(flags),
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: unix.O_ACCMODE},
		jump(unix.BPF_JEQ, unix.O_ACCMODE, 0, 1),
		fail(unix.EACCES),
		ret(unix.SECCOMP_RET_ALLOW),
	}
}
