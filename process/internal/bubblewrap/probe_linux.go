package bubblewrap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/execfile"
	"github.com/runnel-rpc/runnel/process/internal/leader"
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
	// Why says for operators why neither works, and WhyNotPlain why the first does not.
	Why, WhyNotPlain string
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
			return Support{Why: "bubblewrap is not installed: there is no bwrap in PATH"}
		}
	}
	program, err := OpenProgram(path)
	if err != nil {
		return Support{Why: err.Error()}
	}
	s := Support{Program: program, Why: program.setUserID()}
	if s.Why == "" {
		s.try(ctx, fork, observer)
	}
	if !s.Works() {
		s.Close()
		s.Program = nil
	}
	return s
}

func (s *Support) try(ctx context.Context, fork Forker, observer leader.Observer) {
	if os.Geteuid() != 0 {
		s.WhyNotPlain = "this server is not root"
	} else if s.WhyNotPlain = lacking(); s.WhyNotPlain == "" {
		err := probe(ctx, s.Program, false, fork, observer)
		if s.Plain = err == nil; !s.Plain {
			s.WhyNotPlain = explain(err)
			s.Why = "without a user namespace: " + s.WhyNotPlain + ", and with one: "
		}
	}
	err := probe(ctx, s.Program, true, fork, observer)
	if s.UserNS = err == nil; s.Works() {
		s.Why = ""
	} else {
		s.Why += explain(err)
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

// explain says in words of an operator why a probe failed. err is not nil.
func explain(err error) string {
	if entered, ok := errors.AsType[errEnter](err); ok {
		why := "bwrap makes namespaces, but this server cannot enter them"
		if inFilter() {
			why += " (does a seccomp filter refuse setns(2)?)"
		}
		return why + ": " + entered.Error()
	}
	text := err.Error()
	if errors.Is(err, syscall.ENOSYS) && !inFilter() {
		return "the kernel is older than Linux 5.8: " + text
	}
	for _, cause := range causes {
		for _, sign := range cause.signs {
			if strings.Contains(text, sign) {
				return cause.why() + ": " + text
			}
		}
	}
	return text
}

// causes are what bwrap prints, and what it means.
var causes = []struct {
	signs []string
	why   func() string
}{
	{[]string{"Unknown option"}, func() string {
		return "bwrap is too old: it needs --bind-fd (0.10, or an older one with the correction of CVE-2024-42472)"
	}},
	{[]string{"setting up uid map"}, whyNoMap},
	{[]string{"No permissions to creat", "Creating new namespace failed", "unshare user ns", "Failed RTM_NEWADDR", "setting up gid map"}, whyNoNamespaces},
	{[]string{"Can't mount proc"}, func() string {
		return "/proc cannot be mounted, usually because this server runs in a container that hides parts of /proc"
	}},
	{[]string{"Failed to make / slave", "Failed to mount tmpfs", "pivot_root", "unmount old root"}, func() string {
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

// whyNoNamespaces looks for what may forbid namespaces.
func whyNoNamespaces() string {
	switch {
	case setting("/proc/sys/user/max_user_namespaces") == "0":
		return "user namespaces are disabled (sysctl user.max_user_namespaces is 0)"
	case setting("/proc/sys/kernel/unprivileged_userns_clone") == "0":
		return "user namespaces are disabled for users (sysctl kernel.unprivileged_userns_clone is 0)"
	case setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
		return "AppArmor restricts user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns is 1)"
	case inFilter():
		return "this server runs in a container or service whose seccomp filter refuses namespaces"
	}
	return "the kernel or a security module refuses namespaces"
}

func setting(path string) string {
	text, _ := os.ReadFile(path)
	return strings.TrimSpace(string(text))
}

// inFilter reports whether this thread has a seccomp filter.
func inFilter() bool {
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return err == nil && mode == 2
}
