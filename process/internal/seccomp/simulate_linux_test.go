package seccomp

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// simulate executes a filter for one system call and returns its action. It is an error if the kernel
// would not accept the filter: every jump has to lead forward, to an instruction.
func simulate(filter []unix.SockFilter, audit uint32, number int, args ...uint64) (uint32, error) {
	var data [16]uint32 // struct seccomp_data
	data[0], data[1] = uint32(number), audit
	for i, arg := range args {
		data[4+2*i], data[5+2*i] = uint32(arg), uint32(arg>>32)
	}
	var a uint32
	for pc := 0; pc < len(filter); pc++ {
		in := filter[pc]
		jump := func(condition bool) {
			if condition {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		}
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			if in.K%4 != 0 || in.K >= 64 {
				return 0, fmt.Errorf("instruction %d loads at %d", pc, in.K)
			}
			a = data[in.K/4]
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			a &= in.K
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			jump(a == in.K)
		case unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:
			jump(a > in.K)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			jump(a >= in.K)
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			jump(a&in.K != 0)
		case unix.BPF_RET | unix.BPF_K:
			return in.K, nil
		default:
			return 0, fmt.Errorf("instruction %d has the unknown code %#x", pc, in.Code)
		}
	}
	return 0, fmt.Errorf("the filter has no end")
}

// strictest are the options that refuse most.
var strictest = Options{RefuseBareOpen: true, ReadOnly: true}

// permissive are those that refuse least.
var permissive = Options{Network: sandbox.FullNetwork, OwnNetwork: true, OwnProcesses: true, Landlock: true, UnixSockets: sandbox.FullUnixSockets}

func action(errno unix.Errno) uint32 {
	if errno == 0 {
		return unix.SECCOMP_RET_ALLOW
	}
	return unix.SECCOMP_RET_ERRNO | uint32(errno)
}

// expected is what the options mean for a system call whose arguments are all 0.
func expected(c *call, o Options) unix.Errno {
	strict := o == strictest
	switch d := c.decision; {
	case d == absent:
		return unix.ENOSYS
	case d == refuse, d == memory && strict:
		return unix.EPERM
	case (d == metadata || d == changedMode) && strict:
		return unix.EROFS
	case d == socketFamily, d == socketpairType:
		return unix.EAFNOSUPPORT // AF_UNSPEC
	}
	return 0
}

// TestEveryCall simulates every number with the strictest and the most permissive options, on both
// architectures.
func TestEveryCall(t *testing.T) {
	for _, goarch := range []string{"amd64", "arm64"} {
		a, _ := archOf(goarch)
		byNumber := map[int]*call{}
		for i := range calls {
			if n := a.number(&calls[i]); n >= 0 {
				byNumber[n] = &calls[i]
			}
		}
		for _, o := range []Options{strictest, permissive} {
			filter := a.filter(o)
			for n := range lastCall + 1 {
				want, name := unix.Errno(0), "no call"
				if c := byNumber[n]; c != nil {
					want, name = expected(c, o), c.name
				}
				if got, err := simulate(filter, a.audit, n); err != nil || got != action(want) {
					t.Errorf("%s: %s (%d) with %+v: %#x, %v; want %#x", goarch, name, n, o, got, err, action(want))
				}
			}
			const x32 = 1 << 30
			for _, n := range []int{lastCall + 1, 512, 1000, x32, x32 + 1, -1} {
				if got, err := simulate(filter, a.audit, n); err != nil || got != action(unix.ENOSYS) {
					t.Errorf("%s: number %d: %#x, %v", goarch, n, got, err)
				}
			}
			for _, audit := range []uint32{unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_ARM, 0} {
				if got, err := simulate(filter, audit, 0); err != nil || got != action(unix.ENOSYS) {
					t.Errorf("%s: architecture %#x: %#x, %v", goarch, audit, got, err)
				}
			}
		}
	}
}

// TestAlwaysRefused has the list of what every sandbox refuses, independent of the table.
func TestAlwaysRefused(t *testing.T) {
	const eperm = `mount umount2 pivot_root chroot move_mount open_tree open_tree_attr fsopen fsconfig fsmount fspick
		mount_setattr setns keyctl add_key request_key bpf userfaultfd perf_event_open io_uring_setup io_uring_enter
		io_uring_register kexec_load kexec_file_load init_module finit_module delete_module open_by_handle_at swapon
		swapoff reboot acct quotactl quotactl_fd settimeofday clock_settime adjtimex clock_adjtime syslog fanotify_init`
	decisions := map[string]decision{}
	for _, c := range calls {
		decisions[c.name] = c.decision
	}
	for name := range strings.FieldsSeq(eperm) {
		if decisions[name] != refuse {
			t.Errorf("%s is not refused", name)
		}
	}
	for name, want := range map[string]decision{"clone3": absent, "clone": cloneFlags, "unshare": unshareFlags, "ioctl": ioctlCommand, "fcntl": fcntlCommand,
		"socket": socketFamily, "socketpair": socketpairType, "ptrace": memory, "process_vm_readv": memory, "process_vm_writev": memory,
		"pidfd_getfd": memory, "open": openMode, "openat": openMode, "openat2": absent,
		"chmod": changedMode, "fchmod": changedMode, "fchmodat": changedMode, "fchmodat2": changedMode, "creat": newMode,
		"mknod": newMode, "mknodat": newMode} {
		if decisions[name] != want {
			t.Errorf("the decision about %s is %d, want %d", name, decisions[name], want)
		}
	}
}

// TestArguments simulates the calls whose arguments count.
func TestArguments(t *testing.T) {
	const high = 1 << 32 // a bit that the kernel ignores
	own := Options{OwnNetwork: true, OwnProcesses: true}
	tests := []struct {
		o    Options
		name string
		args []uint64
		want unix.Errno
	}{
		{permissive, "clone", []uint64{uint64(unix.SIGCHLD)}, 0},
		{permissive, "clone", []uint64{unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_PIDFD | uint64(unix.SIGCHLD)}, 0},
		{permissive, "clone", []uint64{unix.CLONE_NEWUSER | uint64(unix.SIGCHLD)}, unix.EPERM},
		{permissive, "clone", []uint64{high | unix.CLONE_NEWNET}, unix.EPERM},
		{permissive, "clone", []uint64{unix.CLONE_NEWNS}, unix.EPERM},
		{permissive, "clone", []uint64{unix.CLONE_NEWPID}, unix.EPERM},
		{permissive, "clone", []uint64{unix.CLONE_NEWIPC}, unix.EPERM},
		{permissive, "clone", []uint64{unix.CLONE_NEWUTS}, unix.EPERM},
		{permissive, "clone", []uint64{unix.CLONE_NEWCGROUP}, unix.EPERM},
		{permissive, "unshare", []uint64{unix.CLONE_FILES | unix.CLONE_FS}, 0},
		{permissive, "unshare", []uint64{unix.CLONE_NEWUSER}, unix.EPERM},
		{permissive, "unshare", []uint64{high | unix.CLONE_NEWTIME}, unix.EPERM},
		{permissive, "unshare", []uint64{unix.CLONE_FS | unix.CLONE_NEWNS}, unix.EPERM},
		{permissive, "ioctl", []uint64{0, unix.TCGETS}, 0},
		{permissive, "ioctl", []uint64{0, unix.TIOCSTI}, unix.EPERM},
		{permissive, "ioctl", []uint64{0, high | unix.TIOCSTI}, unix.EPERM},
		{permissive, "ioctl", []uint64{0, 0xffffffff<<32 | unix.TIOCLINUX}, unix.EPERM},
		{permissive, "ioctl", []uint64{0, unix.FS_IOC_SETFLAGS}, 0},
		{strictest, "ioctl", []uint64{0, unix.FS_IOC_SETFLAGS}, unix.EROFS},
		{strictest, "ioctl", []uint64{0, unix.FS_IOC_ENABLE_VERITY}, unix.EROFS},
		{strictest, "ioctl", []uint64{0, unix.FS_IOC_SET_ENCRYPTION_POLICY}, unix.EROFS},
		{strictest, "ioctl", []uint64{0, unix.FS_IOC_GETFLAGS}, 0},
		{strictest, "ioctl", []uint64{0, 0x40086604}, unix.EROFS}, // EXT4_IOC_SETVERSION
		{strictest, "ioctl", []uint64{0, 0x6609}, unix.EROFS},     // EXT4_IOC_MIGRATE
		{strictest, "ioctl", []uint64{0, 0x40047211}, unix.EROFS}, // FAT_IOCTL_SET_ATTRIBUTES
		{permissive, "ioctl", []uint64{0, 0x40086604}, 0},
		{permissive, "ioctl", []uint64{0, unix.TCGETS}, 0},
		{permissive, "ioctl", []uint64{0, unix.FICLONE}, 0},
		{permissive, "ioctl", []uint64{0, unix.FICLONERANGE}, 0},
		{permissive, "ioctl", []uint64{0, unix.FIDEDUPERANGE}, 0},
		{permissive, "ioctl", []uint64{0, 0x80089419}, 0},                 // BTRFS_IOC_SUBVOL_GETFLAGS
		{permissive, "ioctl", []uint64{0, 0x50009401}, unix.EPERM},        // BTRFS_IOC_SNAP_CREATE
		{permissive, "ioctl", []uint64{0, high | 0x5000940e}, unix.EPERM}, // BTRFS_IOC_SUBVOL_CREATE
		{permissive, "ioctl", []uint64{0, 0x5000940f}, unix.EPERM},        // BTRFS_IOC_SNAP_DESTROY
		{permissive, "ioctl", []uint64{0, 0x50009417}, unix.EPERM},        // BTRFS_IOC_SNAP_CREATE_V2
		{permissive, "ioctl", []uint64{0, 0x4008941a}, unix.EPERM},        // BTRFS_IOC_SUBVOL_SETFLAGS
		{permissive, "ioctl", []uint64{0, 0xc0c89425}, unix.EPERM},        // BTRFS_IOC_SET_RECEIVED_SUBVOL
		{permissive, "ioctl", []uint64{0, 0x4020bc10}, unix.EPERM},        // BCH_IOCTL_SUBVOLUME_CREATE
		{permissive, "ioctl", []uint64{0, 0x8008bc40}, unix.EPERM},        // BCHFS_IOC_REINHERIT_ATTRS
		{permissive, "ioctl", []uint64{0, high | 0x40186f04}, unix.EPERM}, // OCFS2_IOC_REFLINK
		{permissive, "fcntl", []uint64{0, unix.F_DUPFD_CLOEXEC, unix.F_SETLEASE}, 0},
		{permissive, "fcntl", []uint64{0, unix.F_GETLEASE}, 0},
		{permissive, "fcntl", []uint64{0, unix.F_SETLEASE, unix.F_RDLCK}, unix.EPERM},
		{permissive, "fcntl", []uint64{0, high | unix.F_SETLEASE, unix.F_WRLCK}, unix.EPERM},
		{strictest, "fcntl", []uint64{0, 1024 + 16}, unix.EPERM}, // F_SETDELEG
		{permissive, "socket", []uint64{unix.AF_UNIX, unix.SOCK_STREAM}, 0},
		{permissive, "socket", []uint64{unix.AF_INET, unix.SOCK_STREAM}, 0},
		{permissive, "socket", []uint64{unix.AF_INET6, unix.SOCK_DGRAM}, 0},
		{permissive, "socket", []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}, 0},
		{permissive, "socket", []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT}, unix.EAFNOSUPPORT},
		{permissive, "socket", []uint64{unix.AF_PACKET, unix.SOCK_RAW}, unix.EAFNOSUPPORT},
		{permissive, "socket", []uint64{high | unix.AF_VSOCK, unix.SOCK_STREAM}, unix.EAFNOSUPPORT},
		{permissive, "socket", []uint64{unix.AF_ALG}, unix.EAFNOSUPPORT},
		{own, "socket", []uint64{unix.AF_INET}, 0},
		{own, "socket", []uint64{high | unix.AF_UNIX}, unix.EACCES},
		{strictest, "socket", []uint64{high | unix.AF_INET}, unix.EACCES},
		{strictest, "socket", []uint64{unix.AF_INET6}, unix.EACCES},
		{strictest, "socket", []uint64{unix.AF_NETLINK, 0, unix.NETLINK_ROUTE}, unix.EACCES},
		{Options{Network: sandbox.AllowList}, "socket", []uint64{unix.AF_INET}, unix.EACCES},
		{Options{Network: sandbox.FullNetwork}, "socket", []uint64{unix.AF_INET}, 0},
		{strictest, "socketpair", []uint64{unix.AF_UNIX, unix.SOCK_STREAM | unix.SOCK_CLOEXEC}, 0},
		{strictest, "socketpair", []uint64{unix.AF_UNIX, unix.SOCK_STREAM | unix.SOCK_NONBLOCK}, 0},
		{strictest, "socketpair", []uint64{unix.AF_UNIX, unix.SOCK_SEQPACKET}, 0},
		{strictest, "socketpair", []uint64{unix.AF_UNIX, unix.SOCK_DGRAM}, unix.EACCES},
		{strictest, "socketpair", []uint64{unix.AF_UNIX, high | unix.SOCK_RAW | unix.SOCK_NONBLOCK}, unix.EACCES},
		{strictest, "socketpair", []uint64{unix.AF_TIPC, unix.SOCK_STREAM}, unix.EAFNOSUPPORT},
		{permissive, "socketpair", []uint64{unix.AF_UNIX, unix.SOCK_DGRAM}, 0},
		{strictest, "openat", []uint64{0, 0, unix.O_RDWR | unix.O_CREAT}, 0},
		{strictest, "openat", []uint64{0, 0, high | unix.O_ACCMODE | unix.O_NONBLOCK}, unix.EACCES},
		{permissive, "openat", []uint64{0, 0, unix.O_ACCMODE}, 0},
		{strictest, "open", []uint64{0, unix.O_ACCMODE}, unix.EACCES},
		{strictest, "open", []uint64{0, unix.O_WRONLY, unix.O_ACCMODE}, 0},
		{permissive, "open", []uint64{0, unix.O_CREAT | unix.O_WRONLY, 0o1777}, 0},
		{permissive, "open", []uint64{0, unix.O_CREAT | unix.O_WRONLY, unix.S_ISUID | 0o755}, unix.EPERM},
		{permissive, "open", []uint64{0, unix.O_WRONLY, unix.S_ISUID | 0o755}, 0},
		{permissive, "openat", []uint64{0, 0, unix.O_CREAT, 0o666}, 0},
		{permissive, "openat", []uint64{0, 0, unix.O_RDONLY, unix.S_ISUID}, 0},
		{permissive, "openat", []uint64{0, 0, unix.O_DIRECTORY | unix.O_CLOEXEC, unix.S_ISUID}, 0},
		{permissive, "openat", []uint64{0, 0, high | unix.O_CREAT, high | unix.S_ISGID}, unix.EPERM},
		{permissive, "openat", []uint64{0, 0, 0o20000000 | unix.O_RDWR, unix.S_ISUID | 0o700}, unix.EPERM}, // __O_TMPFILE
		{strictest, "openat", []uint64{0, 0, unix.O_CREAT, unix.S_ISUID}, unix.EPERM},
		{strictest, "openat", []uint64{0, 0, unix.O_CREAT | unix.O_ACCMODE, 0o600}, unix.EACCES},
		{permissive, "creat", []uint64{0, 0o755}, 0},
		{permissive, "creat", []uint64{0, unix.S_ISGID | 0o755}, unix.EPERM},
		{permissive, "mknod", []uint64{0, unix.S_IFIFO | 0o644}, 0},
		{permissive, "mknod", []uint64{0, unix.S_IFREG | unix.S_ISUID | 0o755}, unix.EPERM},
		{permissive, "mknodat", []uint64{0, 0, unix.S_IFREG | unix.S_ISUID | 0o755}, unix.EPERM},
		{permissive, "mkdirat", []uint64{0, 0, unix.S_ISGID | 0o755}, 0},
		{permissive, "chmod", []uint64{0, 0o1777}, 0},
		{permissive, "chmod", []uint64{0, unix.S_ISUID | 0o755}, unix.EPERM},
		{permissive, "fchmod", []uint64{0, high | unix.S_ISGID | 0o755}, unix.EPERM},
		{permissive, "fchmodat", []uint64{0, 0, 0o755}, 0},
		{permissive, "fchmodat", []uint64{0, 0, unix.S_ISUID | 0o755}, unix.EPERM},
		{permissive, "fchmodat2", []uint64{0, 0, unix.S_ISUID | 0o755}, unix.EPERM},
		{strictest, "fchmodat2", []uint64{0, 0, 0o755}, unix.EROFS},
		{Options{Landlock: true}, "ptrace", nil, 0},
		{Options{OwnProcesses: true}, "process_vm_readv", nil, 0},
		{Options{OwnNetwork: true}, "pidfd_getfd", nil, unix.EPERM},
	}
	for _, goarch := range []string{"amd64", "arm64"} {
		a, _ := archOf(goarch)
		for _, test := range tests {
			number := -1
			for i := range calls {
				if calls[i].name == test.name {
					number = a.number(&calls[i])
				}
			}
			if number < 0 && goarch == "arm64" && (test.name == "open" || test.name == "creat" || test.name == "mknod" || test.name == "chmod") {
				continue
			}
			if got, err := simulate(a.filter(test.o), a.audit, number, test.args...); err != nil || got != action(test.want) {
				t.Errorf("%s: %s(%#x) with %+v: %#x, %v; want %#x", goarch, test.name, test.args, test.o, got, err, action(test.want))
			}
		}
	}
}
