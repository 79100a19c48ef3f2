package bubblewrap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/execfile"
	"github.com/runnel-rpc/runnel/process/internal/kernel"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/runas"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// Support is what a machine can do.
type Support struct {
	// Program is bwrap, nil if it cannot be used.
	Program *Program
	// Plain and UserNS say whether a sandbox can be made without and with a user namespace. Only
	// without one can a command have another user than this process.
	Plain, UserNS bool
	// Why says why neither works, and WhyNotPlain why the first does not, in general terms: they name
	// no path of the server.
	Why, WhyNotPlain string
	// Detail is Why with what was tried, for operators.
	Detail string
}

// Works reports whether sandboxes can be made.
func (s *Support) Works() bool { return s.Plain || s.UserNS }

// Close closes the program.
func (s *Support) Close() {
	if s.Program != nil {
		s.Program.Close()
	}
}

// Probe makes a sandbox with all namespaces, enters it, and ends it, in at most twice startWait. It
// does so without a user namespace if this process is root, and with one. path is that of bwrap, ""
// to look for it in PATH. observer, which may be nil, is notified of the reap of each child. The
// caller closes the result.
func Probe(ctx context.Context, path string, fork Forker, observer leader.Observer) Support {
	if path == "" {
		var err error
		if path, err = exec.LookPath("bwrap"); err != nil || !filepath.IsAbs(path) {
			return unsupported("bubblewrap is not installed", "there is no bwrap in PATH")
		}
	}
	program, err := OpenProgram(path)
	if err != nil {
		return unsupported("bubblewrap cannot be opened", err.Error())
	}
	s := Support{}
	if why := program.setUserID(); why != "" {
		s = unsupported("bubblewrap is set-user-ID", why)
	} else {
		s.Program = program
		s.try(ctx, fork, observer)
	}
	if !s.Works() {
		program.Close()
		s.Program = nil
	}
	return s
}

func unsupported(why, detail string) Support { return Support{Why: why, Detail: why + ": " + detail} }

func (s *Support) try(ctx context.Context, fork Forker, observer leader.Observer) {
	if os.Geteuid() != 0 {
		s.WhyNotPlain = "this server is not root"
	} else if s.WhyNotPlain = lacking(); s.WhyNotPlain == "" {
		err := probe(ctx, s.Program, false, fork, observer)
		if s.Plain = err == nil; !s.Plain {
			s.WhyNotPlain = explain(err)
			s.Detail = "without a user namespace: " + s.WhyNotPlain + ": " + err.Error() + ", and with one: "
		}
	}
	err := probe(ctx, s.Program, true, fork, observer)
	if s.UserNS = err == nil; s.Works() {
		s.Detail = ""
		return
	}
	s.Why = explain(err)
	tried := s.Detail != ""
	s.Detail += s.Why + ": " + err.Error()
	if tried && s.Why != s.WhyNotPlain {
		s.Why = "without a user namespace: " + s.WhyNotPlain + ", and with one: " + s.Why
	}
}

// plainCapabilities are what is needed to make namespaces without a user namespace, and to enter them.
var plainCapabilities = []struct {
	number int
	name   string
}{
	{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},   // clone(2), mount(2)
	{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"},   // for the loopback interface
	{unix.CAP_SYS_PTRACE, "CAP_SYS_PTRACE"}, // to look at the holder, which is not dumpable
	{unix.CAP_SYS_CHROOT, "CAP_SYS_CHROOT"}, // setns(2)
}

// lacking says which of the plainCapabilities root does not have here, "" if it has all.
func lacking() string {
	var names []string
	for _, c := range plainCapabilities {
		if !runas.HasCapability(c.number) {
			names = append(names, c.name)
		}
	}
	if names == nil {
		return ""
	}
	return "root lacks " + strings.Join(names, ", ") + " here"
}

// errEnter means that the namespaces were made, but cannot be entered.
type errEnter struct{ error }

// probe makes one sandbox. It has a bind, and bwrap itself as the program.
func probe(ctx context.Context, program *Program, userNS bool, fork Forker, observer leader.Observer) error {
	opened, err := execfile.Open(ctx, &execfile.Program{Name: program.Path, Dir: "/"}, func(string) {})
	if err != nil {
		opened.Close()
		return &Error{Step: stepPrepare, Program: program.Path, Err: err}
	}
	defer opened.Close()
	c := &Config{
		Program:  program,
		UserNS:   userNS,
		Observer: observer,
		Sandbox: &sandbox.Config{
			FilesDefault: sandbox.Read,
			Network:      sandbox.Network{Mode: sandbox.NoNetwork},
			Processes:    sandbox.Own,
			Tmp:          sandbox.Private,
		},
		Dir:      identityOf(&opened.Dir),
		Programs: []File{identityOf(&opened.Programs[0])},
		Binds:    []Bind{{Path: opened.Programs[0].Path, FD: opened.Programs[0].FD, Access: sandbox.Read}},
	}
	n, err := Start(ctx, c, fork)
	if err != nil {
		return err
	}
	defer n.Close()
	if err := n.tryEnter(fork, observer); err != nil {
		return errEnter{fmt.Errorf("setns: %w", err)}
	}
	return nil
}

func identityOf(f *execfile.File) File {
	return File{Path: f.Path, Dev: uint64(f.Info.Dev), Ino: f.Info.Ino}
}

// explain says in general terms why a probe failed. err is not nil.
func explain(err error) string {
	if _, ok := errors.AsType[errEnter](err); ok {
		why := "bwrap makes namespaces, but this server cannot enter them"
		if kernel.Filtered() {
			why += " (does a seccomp filter refuse setns(2)?)"
		}
		return why
	}
	switch {
	case errors.Is(err, syscall.ENOSYS):
		return kernel.Absent("system calls that are needed", 5, 8)
	case chrooted():
		return "this server is in a chroot(2), in which the kernel refuses namespaces"
	case errors.Is(err, syscall.ETIMEDOUT):
		return "bwrap does not finish"
	}
	text := err.Error()
	for _, cause := range causes {
		for _, sign := range cause.signs {
			if strings.Contains(text, sign) {
				return cause.why()
			}
		}
	}
	if failed, ok := errors.AsType[*Error](err); ok {
		return string(failed.Step) + " failed"
	}
	return "a sandbox was not made"
}

// chrooted reports whether this process is in a chroot(2): no mount is at its root directory.
func chrooted() bool {
	mounts, err := procfs.OwnMounts()
	return err == nil && !slices.ContainsFunc(mounts, func(m procfs.Mount) bool { return m.Point == "/" })
}

// causes are what bwrap prints, and what it means.
var causes = []struct {
	signs []string
	why   func() string
}{
	{[]string{"Unknown option"}, func() string {
		return "bwrap is too old: it needs --bind-fd (0.10, or an older one with the correction of CVE-2024-42472)"
	}},
	{[]string{"uid map: Read-only file system"}, func() string { return "/proc is read-only" }},
	{[]string{"Can't read /proc/sys"}, func() string { return "/proc shows processes only, as by ProcSubset= of systemd" }},
	{[]string{"NETLINK_ROUTE"}, func() string {
		return "netlink sockets are refused, as by RestrictAddressFamilies= of systemd without AF_NETLINK"
	}},
	{[]string{"bad system call"}, func() string {
		return "a seccomp filter kills bwrap, as SystemCallFilter= of systemd without @mount does"
	}},
	{[]string{"setting up uid map"}, whyNoMap},
	{[]string{"ENOSPC"}, whyNoMore},
	{[]string{"No permissions to creat", "Creating new namespace failed", "unshare user ns", "Failed RTM_NEWADDR", "setting up gid map"}, whyNoNamespaces},
	{[]string{"Can't mount proc"}, func() string {
		return "/proc cannot be mounted, usually because this server runs in a container that hides parts of /proc"
	}},
	{[]string{"Failed to make / slave", "Failed to mount tmpfs", "pivot_root", "unmount old root"}, func() string {
		if kernel.RefusesMounts() {
			return "a seccomp filter refuses mounts"
		}
		return "mounts are refused, usually by the security profile of a container"
	}},
}

// whyNoMap says why the user cannot be mapped. Since Linux 5.12 root cannot be without CAP_SETFCAP
// (user_namespaces(7)).
func whyNoMap() string {
	if os.Geteuid() == 0 && !runas.HasCapability(unix.CAP_SETFCAP) {
		return "root lacks CAP_SETFCAP here, without which it can have no user namespace"
	}
	return whyNoNamespaces()
}

// whyNoMore says which limit for the number of namespaces is reached. It may also be one of a user
// namespace above that of this process, which cannot be seen here.
func whyNoMore() string {
	for _, kind := range []string{"user", "mnt", "pid", "net", "ipc", "uts"} {
		if setting("/proc/sys/user/max_"+kind+"_namespaces") == "0" {
			return "no namespaces may be made (sysctl user.max_" + kind + "_namespaces is 0)"
		}
	}
	return "no more namespaces may be made (sysctls user.max_user_namespaces and the like, here or outside of a container)"
}

// whyNoNamespaces looks for what may forbid namespaces.
func whyNoNamespaces() string {
	switch {
	case kernel.RefusesNamespaces():
		return "a seccomp filter refuses namespaces, as that of a container, a service or a sandbox of Runnel does"
	case !mapped(os.Geteuid(), "/proc/self/uid_map") || !mapped(os.Getegid(), "/proc/self/gid_map"):
		return "the user or group of this server has no id in its user namespace"
	case setting("/proc/sys/kernel/unprivileged_userns_clone") == "0":
		return "user namespaces are disabled for users (sysctl kernel.unprivileged_userns_clone is 0)"
	case setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
		return "AppArmor restricts user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns is 1)"
	case kernel.Filtered():
		return "the kernel, a security module or a seccomp filter refuses namespaces"
	}
	return "the kernel or a security module refuses namespaces"
}

func setting(path string) string {
	text, _ := os.ReadFile(path)
	return strings.TrimSpace(string(text))
}

// mapped reports whether a file with the ids of a user namespace (user_namespaces(7)) has an id. It
// has all if it cannot be read.
func mapped(id int, path string) bool {
	text, err := os.ReadFile(path)
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(text)) {
		var inside, outside, count int64
		if n, _ := fmt.Sscan(line, &inside, &outside, &count); n == 3 && int64(id) >= inside && int64(id) < inside+count {
			return true
		}
	}
	return false
}
