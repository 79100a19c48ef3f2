package landlock

import (
	"errors"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// maxRules bounds the rules of a ruleset, and the directory entries that are read to make them.
const maxRules = 4096

// errTooMany is an error of ruleset.allow.
var errTooMany = errors.New("too many rules")

// Options is how a ruleset is made.
type Options struct {
	// Inside is that the command runs in a mount namespace that bubblewrap has made.
	Inside bool
	// Open opens a path with O_PATH and O_CLOEXEC, and follows symbolic links; nil for open(2).
	// Inside it opens every path, in that mount namespace. Otherwise it is called for the paths of
	// Config.Files only, and everything else is opened with the rights of the caller. It finds names,
	// which the command never gets to see, and Landlock does not replace the permission of the file
	// system.
	Open func(path string) (fd int, err error)
	// Always has paths that are not accessible, whatever the rules say. Those that do not exist do not
	// count. It is not used inside, where mounts cover them.
	Always []string
	// Unreadable is like Always, but the names of what is below may be listed. A directory in Always
	// prevents all directories above it from being listed; one in Unreadable does not.
	Unreadable []string

	bound int // in place of maxRules, for tests
}

// Ruleset makes a ruleset and returns its descriptor, which is closed at an exec. The process that
// becomes the command passes it to Restrict.
//
// An error is a *sandbox.NotEnforceableError or a *sandbox.PathError for what c asks for, or that of
// a system call. A path that is to be made if it is missing (sandbox.Create) has to exist already.
func Ruleset(c *sandbox.Config, o Options) (fd int, err error) {
	return makeRuleset(c, &o, ABI())
}

func makeRuleset(c *sandbox.Config, o *Options, abi int) (fd int, err error) {
	if err := enforceable(c, o, abi); err != nil {
		return -1, err
	}
	handled := known(abi)
	if o.Inside {
		handled &= handledInside
	}
	if c.UnixSockets == sandbox.FullUnixSockets {
		handled &^= unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX
	}
	r, err := create(handled, scopes(c, abi))
	if err != nil {
		return -1, err
	}
	if o.bound > 0 {
		r.most = o.bound
	}
	if o.Inside {
		err = r.allowInside(c, o)
	} else {
		err = r.allowAlone(c, o)
	}
	if err != nil {
		_ = unix.Close(r.fd)
		return -1, err
	}
	return r.fd, nil
}

// enforceable checks what does not depend on the files.
func enforceable(c *sandbox.Config, o *Options, abi int) error {
	switch {
	case !o.Inside:
		return aloneEnforces(c, abi)
	case abi < MinInside:
		return &sandbox.NotEnforceableError{Field: string(sandbox.FilesPart), Why: whyNot(abi)}
	}
	return nil
}

// AloneEnforces returns a *sandbox.NotEnforceableError for what a ruleset cannot enforce without
// namespaces, apart from what depends on the files.
func AloneEnforces(c *sandbox.Config) error { return aloneEnforces(c, ABI()) }

func aloneEnforces(c *sandbox.Config, abi int) error {
	switch {
	case abi < MinAlone:
		return &sandbox.NotEnforceableError{Field: string(sandbox.FilesPart), Why: whyNot(abi)}
	case c.Network.Mode == sandbox.AllowList:
		return &sandbox.NotEnforceableError{Field: string(sandbox.NetworkPart), Why: noNetworkNamespace}
	case c.Processes == sandbox.Own:
		return &sandbox.NotEnforceableError{Field: string(sandbox.ProcessesPart), Why: noPIDNamespace}
	case c.Tmp == sandbox.Private:
		return &sandbox.NotEnforceableError{Field: string(sandbox.TmpPart), Why: noMountNamespace}
	case c.UnixSockets == sandbox.FullUnixSockets:
		return &sandbox.NotEnforceableError{Field: "unix_sockets", Why: noHiddenSockets}
	}
	return nil
}

// scopes returns which processes outside of the domain the command cannot reach.
func scopes(c *sandbox.Config, abi int) (scopes uint64) {
	if abi < scopeABI {
		return 0
	}
	if c.UnixSockets != sandbox.FullUnixSockets || c.Network.Mode != sandbox.FullNetwork {
		scopes |= unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
	}
	if c.Processes == sandbox.Own {
		scopes |= unix.LANDLOCK_SCOPE_SIGNAL
	}
	return scopes
}

// ruleset is a ruleset that is being made.
type ruleset struct {
	fd      int
	handled uint64
	rules   int
	most    int // of rules, and of directory entries
}

func create(handled, scoped uint64) (*ruleset, error) {
	attr := unix.LandlockRulesetAttr{Handled_access_fs: handled, Scoped: scoped}
	// An older kernel, whose structure is shorter, accepts the longer one if the rest is 0.
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return nil, os.NewSyscallError("landlock_create_ruleset", errno)
	}
	return &ruleset{fd: int(fd), handled: handled, most: maxRules}, nil
}

// allow adds a rule for a file, or for a directory and all that is below it.
func (r *ruleset) allow(fd int, dir bool, access uint64) error {
	access &= r.handled
	if !dir {
		access &= ofFiles
	}
	if access == 0 {
		return nil
	}
	if r.rules >= r.most {
		return errTooMany
	}
	r.rules++
	return addRule(r.fd, fd, access)
}

func addRule(ruleset, fd int, access uint64) error {
	attr := unix.LandlockPathBeneathAttr{Allowed_access: access, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("landlock_add_rule", errno)
	}
	return nil
}

// AllowTerminal lets the command open its own terminal by its path, such as /dev/stdout. terminal is
// a descriptor of the side that is the command's. Options.Inside of the ruleset is false: otherwise
// all terminals in /dev/pts are the command's own.
func AllowTerminal(ruleset, terminal int) error {
	return addRule(ruleset, terminal, device&known(ABI()))
}

// Restrict restricts the calling thread and all processes that descend from it. It needs no_new_privs
// (PR_SET_NO_NEW_PRIVS), or CAP_SYS_ADMIN in the user namespace of the thread. The command must not
// keep capabilities: with CAP_PERFMON or CAP_SYS_ADMIN it could read the environment of processes
// outside of the domain (seen on Linux 6.18). Restrict makes a raw system call only and does not
// allocate, so it may be called between a raw clone(2) and the exec.
//
//go:norace
//go:nosplit
func Restrict(ruleset int) unix.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(ruleset), 0, 0, 0, 0, 0)
	return errno
}
