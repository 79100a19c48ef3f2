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
	0x40086604, // EXT4_IOC_SETVERSION
	0x6609,     // EXT4_IOC_MIGRATE
	0x40047211, // FAT_IOCTL_SET_ATTRIBUTES
}

// The parts of an ioctl(2) command (ioctl(2), linux/ioctl.h).
const (
	ioctlType      = 0xff00
	ioctlDirection = 0xc0000000
	ioctlRead      = 0x80000000 // it only returns something
	btrfsType      = 0x9400
	bcachefsType   = 0xbc00
)

// harmlessOfBtrfs are the commands of the type of btrfs that are permitted although they do not only
// return something. The first three are those of all file systems, and need a file that is open for
// writing, or one with the same content.
var harmlessOfBtrfs = []uint32{
	unix.FICLONE, unix.FICLONERANGE, unix.FIDEDUPERANGE,
	0xd0009412, // BTRFS_IOC_INO_LOOKUP
}

// ioctlMakesFiles refuses the commands that make subvolumes and snapshots. They need directories that are
// open for reading only. Landlock does not see where they make files, and a snapshot shows what mounts
// hide in its original.
func ioctlMakesFiles() (p program) {
	allow := ret(unix.SECCOMP_RET_ALLOW)
	for _, command := range harmlessOfBtrfs {
		p.when(command, allow)
	}
	p.when(0x40186f04, fail(unix.EPERM)) // OCFS2_IOC_REFLINK
	p = append(p, and(ioctlType|ioctlDirection))
	p.when(btrfsType|ioctlRead, allow)
	p = append(p, and(ioctlType))
	p.when(btrfsType, fail(unix.EPERM))
	p.when(bcachefsType, fail(unix.EPERM))
	return p
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
	p = append(p, ioctlMakesFiles()...)
	return append(p, ret(unix.SECCOMP_RET_ALLOW))
}

// setDelegation is F_SETDELEG (linux/fcntl.h, Linux 6.19).
const setDelegation = 1040

// refuseLeases refuses the fcntl(2) commands that take a lease on a file, or a delegation, which is a
// lease that a directory may have, too. It may be open for reading only, and whoever opens it for writing
// then waits for the holder (/proc/sys/fs/lease-break-time, 45 s).
func refuseLeases() program {
	p := program{loadArg(1)}
	p.when(unix.F_SETLEASE, fail(unix.EPERM))
	p.when(setDelegation, fail(unix.EPERM))
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
		p = append(p, loadArg(1), and(typeMask),
			jump(unix.BPF_JEQ, unix.SOCK_STREAM, 2, 0), jump(unix.BPF_JEQ, unix.SOCK_SEQPACKET, 1, 0), fail(unix.EACCES))
	}
	return append(p, ret(unix.SECCOMP_RET_ALLOW))
}

// setID are the bits that make a program run as the owner or the group of its file. The command runs
// programs without them, but everybody else on the machine does not. The kernel ignores the bits in
// mkdir(2).
const setID = unix.S_ISUID | unix.S_ISGID

// makesFile are the flags of open(2) with which its mode counts.
const makesFile = unix.O_CREAT | unix.O_TMPFILE&^unix.O_DIRECTORY

// modeArgument is which argument of a call is the mode of a file.
var modeArgument = map[string]int{
	"open": 2, "openat": 3, "creat": 1, "chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "mknod": 1, "mknodat": 2,
}

// refuseSetID is the beginning of the decision about a call that has a mode.
func refuseSetID(c *call) program {
	return program{loadArg(modeArgument[c.name]), jump(unix.BPF_JSET, setID, 0, 1), fail(unix.EPERM)}
}

// open decides about open(2) and openat(2), whose flags are the argument before the mode.
func (o *Options) open(c *call) program {
	flags, refuse := loadArg(modeArgument[c.name]-1), refuseSetID(c)
	p := program{flags, jump(unix.BPF_JSET, makesFile, 0, uint8(len(refuse)))}
	p = append(p, refuse...)
	if o.RefuseBareOpen {
		p = append(p, flags, and(unix.O_ACCMODE),
			jump(unix.BPF_JEQ, unix.O_ACCMODE, 0, 1), fail(unix.EACCES))
	}
	return append(p, ret(unix.SECCOMP_RET_ALLOW))
}
