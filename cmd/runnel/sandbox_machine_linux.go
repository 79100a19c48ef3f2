package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process"
)

// sandboxTryTimeout is how long each program may take that `runnel sandbox check` runs.
const sandboxTryTimeout = 10 * time.Second

// namespaceSysctls are the settings that may refuse namespaces.
var namespaceSysctls = []string{
	"kernel.unprivileged_userns_clone", "kernel.apparmor_restrict_unprivileged_userns",
	"user.max_user_namespaces", "user.max_mnt_namespaces", "user.max_pid_namespaces",
	"user.max_net_namespaces", "user.max_ipc_namespaces", "user.max_uts_namespaces",
}

// examineMachine finds out what may prevent sandboxes. program is the path of bwrap, "" to look for it
// in PATH; try is whether sandboxes are made to see what fails. This process must have no host, which
// would take the children for its own.
func examineMachine(ctx context.Context, program string, try bool) machine {
	m := machine{
		System:     kernel(),
		UID:        os.Geteuid(),
		Bubblewrap: examineBubblewrap(ctx, program),
		Landlock:   examineLandlock(),
		Sysctls:    map[string]string{},
		Container:  containerOf(),
	}
	m.readStatus(readLines("/proc/self/status"))
	m.readMounts(readLines("/proc/self/mountinfo"))
	m.Unit = unitOf(readLines("/proc/self/cgroup"))
	for _, name := range namespaceSysctls {
		if value, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/")); err == nil {
			m.Sysctls[name] = strings.TrimSpace(string(value))
		}
	}
	m.tryCalls()
	m.Unmapped = !mapped(readLines("/proc/self/uid_map"), os.Geteuid()) || !mapped(readLines("/proc/self/gid_map"), os.Getegid())
	if err := makeUserNamespace(ctx); err != nil {
		m.UserNamespaces = errnoName(err)
	}
	if m.Bubblewrap != nil && m.Bubblewrap.Broken == "" && try {
		m.Bubblewrap.try(ctx, m.UserNamespaces == "")
	}
	return m
}

// tryCalls makes system calls that have no effect, to see whether they are refused.
func (m *machine) tryCalls() {
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC})
	if err == nil {
		_ = unix.Close(fd)
	} else {
		m.OpenAt2 = errnoName(err)
	}
	m.RefusesNamespaces, m.RefusesMounts = process.FilterRefuses()
}

// mapped reports whether the lines of /proc/self/uid_map or gid_map (user_namespaces(7)) have an id.
func mapped(lines []string, id int) bool {
	return slices.ContainsFunc(lines, func(line string) bool {
		var inside, outside, count int64
		n, _ := fmt.Sscan(line, &inside, &outside, &count)
		return n == 3 && int64(id) >= inside && int64(id) < inside+count
	})
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "Linux"
	}
	return "Linux " + unix.ByteSliceToString(u.Release[:])
}

func readLines(path string) []string {
	text, _ := os.ReadFile(path)
	return strings.Split(strings.TrimRight(string(text), "\n"), "\n")
}

// errnoName returns the name of the errno of an error, or its text.
func errnoName(err error) string {
	errno, ok := errors.AsType[syscall.Errno](err)
	switch {
	case !ok:
		return err.Error()
	case errno == syscall.EOPNOTSUPP:
		return "EOPNOTSUPP" // and not ENOTSUP, which is the same
	}
	return cmp.Or(unix.ErrnoName(errno), errno.Error())
}

// readStatus reads the lines of /proc/self/status (proc_pid_status(5)).
func (m *machine) readStatus(lines []string) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); name {
		case "Seccomp":
			m.Seccomp = value == "2"
		case "CapEff":
			var caps uint64
			for _, digit := range value {
				caps = caps<<4 | uint64(strings.IndexRune("0123456789abcdef", digit))
			}
			m.SysAdmin = caps&(1<<unix.CAP_SYS_ADMIN) != 0
			m.SetFCap = caps&(1<<unix.CAP_SETFCAP) != 0
		}
	}
}

// readMounts reads the lines of /proc/self/mountinfo (proc_pid_mountinfo(5)). In a chroot no mount is
// at /, unless that is the root of a file system.
func (m *machine) readMounts(lines []string) {
	root := false
	for _, line := range lines {
		fields := strings.Fields(line)
		if len(fields) < 6 {
			continue
		}
		place, options := fields[4], strings.Split(fields[5], ",")
		switch {
		case place == "/":
			root = true
		case place == "/proc":
			m.ReadOnlyProc = slices.Contains(options, "ro")
		case place == "/proc/sys/fs/binfmt_misc": // an empty directory, which the kernel permits to cover
		case strings.HasPrefix(place, "/proc/"):
			m.CoveredProc = append(m.CoveredProc, place)
		}
	}
	m.Chroot = !root
}

// unitOf returns the service of systemd that this process belongs to, from the lines of
// /proc/self/cgroup (cgroups(7)); "" if it belongs to none, as in a login session.
func unitOf(lines []string) string {
	for _, line := range lines {
		_, path, _ := strings.Cut(strings.TrimPrefix(line, "0:"), ":")
		if unit := filepath.Base(path); strings.HasSuffix(unit, ".service") {
			return unit
		}
	}
	return ""
}

// containerOf returns the kind of container in which this process runs; "" is none that is known.
func containerOf() string {
	exists := func(path string) bool { _, err := os.Stat(path); return err == nil }
	manager, _ := os.ReadFile("/run/systemd/container")
	switch {
	case os.Getenv("KUBERNETES_SERVICE_HOST") != "":
		return "kubernetes"
	case exists("/run/.containerenv"):
		return "podman"
	case exists("/.dockerenv"):
		return "docker"
	}
	return cmp.Or(strings.TrimSpace(string(manager)), os.Getenv("container"))
}

// examineLandlock finds out which Landlock this process can use.
func examineLandlock() (l landlockInfo) {
	var err error
	if l.ABI, err = process.LandlockABI(); err != nil {
		l.Error = errnoName(err)
	}
	if text, err := os.ReadFile("/sys/kernel/security/lsm"); err == nil {
		l.LSMs = strings.Split(strings.TrimSpace(string(text)), ",")
	}
	return l
}

// makeUserNamespace starts this program in a user namespace, which needs no privilege and no other
// program.
func makeUserNamespace(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sandboxTryTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, "/proc/self/exe", "version")
	c.Args[0] = os.Args[0]
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	return c.Run()
}

// examineBubblewrap returns what is known about bwrap, nil if there is none.
func examineBubblewrap(ctx context.Context, program string) *bubblewrapInfo {
	if program == "" {
		found, err := exec.LookPath("bwrap")
		if err != nil {
			return nil
		}
		program = found
	}
	b := &bubblewrapInfo{Path: program}
	if info, err := os.Stat(program); err == nil {
		b.SetUID = info.Mode()&os.ModeSetuid != 0
	}
	text, err := outputOf(ctx, program, "--version")
	if text = strings.TrimSpace(text); err != nil {
		b.Broken = cmp.Or(text, err.Error())
		return b
	}
	_, b.Version, _ = strings.Cut(text, " ")
	help, err := outputOf(ctx, program, "--help")
	b.BindFD = err != nil || strings.Contains(help, "--bind-fd") // it fails where sandboxes fail, too
	return b
}

// try makes three sandboxes, each with more namespaces, and keeps what bwrap prints if it fails. The
// program in them is bwrap, which exists.
func (b *bubblewrapInfo) try(ctx context.Context, userNamespaces bool) {
	run := func(options ...string) string {
		args := []string{"--ro-bind", "/", "/"}
		if os.Geteuid() != 0 || userNamespaces {
			args = append(args, "--unshare-user")
		}
		text, err := outputOf(ctx, b.Path, slices.Concat(args, options, []string{"--", b.Path, "--version"})...)
		if err == nil {
			return ""
		}
		return cmp.Or(strings.TrimSpace(text), err.Error())
	}
	b.Errors = bubblewrapErrors{
		Mount:     run(),
		Network:   run("--unshare-net"),
		Processes: run("--unshare-pid", "--proc", "/proc"),
	}
}

// maxToolOutput is how many bytes of the output of a program are read.
const maxToolOutput = 64 << 10

// outputOf runs a program, and returns the beginning of its output.
func outputOf(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, sandboxTryTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, program, args...)
	c.WaitDelay = time.Second
	var out beginning
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return string(out.text), err
}

// beginning keeps the first maxToolOutput bytes that are written to it.
type beginning struct{ text []byte }

func (b *beginning) Write(data []byte) (int, error) {
	b.text = append(b.text, data[:min(maxToolOutput-len(b.text), len(data))]...)
	return len(data), nil
}
