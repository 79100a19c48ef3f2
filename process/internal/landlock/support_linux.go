package landlock

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/kernel"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// Why something cannot be enforced without namespaces.
const (
	noNetworkNamespace = "an allow-list needs a network namespace, and Landlock cannot limit all protocols"
	noPIDNamespace     = "other processes are hidden by a PID namespace only"
	noMountNamespace   = "a private /tmp needs a mount namespace"
	noMetadata         = "Landlock cannot keep the owner of a file from changing its mode, times and attributes; if anything is writable, metadata has to be \"full\""
	// A command that reaches the server's own socket executes others without a sandbox.
	noHiddenSockets = "Landlock does not refuse to connect to a socket that is hidden, such as the server's own"
)

// Support returns what Landlock alone can enforce on this machine. The network is not its part: see
// package seccomp.
func Support() sandbox.Support {
	s := sandbox.Support{By: map[sandbox.Part]sandbox.Mechanism{}, Why: map[sandbox.Part]string{
		sandbox.AllowPart:     noNetworkNamespace,
		sandbox.ProcessesPart: noPIDNamespace,
		sandbox.TmpPart:       noMountNamespace,
		sandbox.MetadataPart:  noMetadata,
	}}
	if ABI() < MinAlone {
		s.Why[sandbox.FilesPart] = whyNot(ABI())
	} else {
		s.By[sandbox.FilesPart] = sandbox.Landlock
	}
	return s
}

// InsideSupported reports whether Landlock can add to the mounts of a mount namespace.
func InsideSupported() bool { return ABI() >= MinInside }

// whyNot says why an ABI is not sufficient.
func whyNot(abi int) string {
	switch {
	case abi >= MinInside:
		return fmt.Sprintf("Landlock has ABI %d here, which does not refuse truncate(2); ABI %d (Linux 6.2) does", abi, MinAlone)
	case abi == 1:
		return "Landlock has ABI 1 here, with which no file can be moved to another directory, and which does not refuse truncate(2)"
	case probe().errno == unix.ENOSYS && kernel.AtLeast(5, 13) && kernel.Filtered():
		return "a seccomp filter hides Landlock, or this kernel has none (CONFIG_SECURITY_LANDLOCK)"
	case probe().errno == unix.ENOSYS:
		return "this kernel has no Landlock (Linux 5.13, CONFIG_SECURITY_LANDLOCK)"
	case probe().errno == unix.EOPNOTSUPP:
		return "Landlock is not enabled on this kernel (add landlock to the boot parameter lsm=)"
	case probe().errno == unix.EPERM || probe().errno == unix.EACCES:
		return "a seccomp filter, such as that of a container, refuses Landlock"
	}
	return "Landlock is not available: " + probe().errno.Error()
}
