package landlock

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/kernel"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// The lowest ABI for each use.
const (
	// MinAlone is for a ruleset without a mount namespace.
	MinAlone = sandbox.MinLandlockABI
	// MinInside is that of Linux 5.19. Before it every ruleset prevents that files are moved from one
	// directory to another, in writable directories too.
	MinInside = 2
)

// What came with later ABIs.
const (
	ioctlABI   = 5 // Linux 6.10: ioctl(2) of devices
	scopeABI   = 6 // Linux 6.12: signals and abstract Unix sockets
	resolveABI = 9 // connections to Unix sockets that have a path
)

// ABI returns the version of Landlock that the kernel has, 0 if it has none or does not permit it. It
// asks once.
func ABI() int { return probe().abi }

// Version is ABI with the error of the kernel if there is none.
func Version() (abi int, errno unix.Errno) { return probe().abi, probe().errno }

type probed struct {
	abi   int
	errno unix.Errno
}

var probe = sync.OnceValue(func() probed {
	if kernel.Killed(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION) {
		return probed{0, unix.EPERM}
	}
	abi, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return probed{0, errno}
	}
	return probed{int(abi), 0}
})

// BareOpen reports whether the kernel lets a command that is restricted by Landlock alone open any
// device for ioctl(2), with the access mode 3. seccomp.Options.RefuseBareOpen then has to be set.
func BareOpen() bool { return ABI() < ioctlABI }
