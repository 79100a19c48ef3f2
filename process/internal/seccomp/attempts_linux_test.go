package seccomp

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/runas"
)

// attempt is a system call that a filter decides about by its arguments.
type attempt struct {
	name string
	do   func() error
	want unix.Errno // with the filter; 0 if it works then, too
}

// compare makes each attempt without a filter, where it has to work or to fail in another way, and
// with it.
func compare(t *testing.T, user *runas.User, o Options, attempts []attempt) {
	t.Helper()
	needsFilter(t)
	filtered(t, user, nil, func() {
		for _, a := range attempts {
			if err := a.do(); errors.Is(err, unix.EPERM) || err != nil && errors.Is(err, a.want) || a.want == 0 && err != nil {
				t.Errorf("%s without the filter: %v", a.name, err)
			}
		}
	})
	filtered(t, user, Filter(o), func() {
		for _, a := range attempts {
			if err := a.do(); a.want == 0 && err != nil || a.want != 0 && !errors.Is(err, a.want) {
				t.Errorf("%s with the filter: %v, want %v", a.name, err, a.want)
			}
		}
	})
}

// forkWith makes a child that exits at once.
func forkWith(flags uintptr) func() error {
	return func() error {
		cmd := exec.Command("/bin/true")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
		return cmd.Run()
	}
}

func call3(number, a, b, c uintptr) func() error {
	return func() error {
		if _, _, errno := unix.RawSyscall(number, a, b, c); errno != 0 {
			return errno
		}
		return nil
	}
}

// TestNamespaces makes namespaces and inserts input into terminals. Root has the capabilities here.
func TestNamespaces(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may make all namespaces")
	}
	attempts := []attempt{{"fork", forkWith(0), 0}, {"unshare files", call3(unix.SYS_UNSHARE, unix.CLONE_FILES|unix.CLONE_FS, 0, 0), 0}}
	for name, flag := range map[string]uintptr{
		"mount": unix.CLONE_NEWNS, "uts": unix.CLONE_NEWUTS, "ipc": unix.CLONE_NEWIPC, "pid": unix.CLONE_NEWPID, "net": unix.CLONE_NEWNET,
	} {
		if forkWith(flag)() == nil { // it may be refused here
			attempts = append(attempts, attempt{"clone " + name, forkWith(flag), unix.EPERM})
		}
	}
	ioctl := func(command uintptr) func() error { return call3(unix.SYS_IOCTL, 0, command, 0) }
	attempts = append(attempts,
		attempt{"unshare with a flag that does not exist", call3(unix.SYS_UNSHARE, 1, 0, 0), unix.EPERM},
		attempt{"TIOCSTI", ioctl(unix.TIOCSTI), unix.EPERM},
		attempt{"TIOCLINUX", ioctl(unix.TIOCLINUX), unix.EPERM},
	)
	if unsafe.Sizeof(uintptr(0)) == 8 {
		attempts = append(attempts, attempt{"TIOCSTI with a high bit", ioctl(unix.TIOCSTI | 1<<32), unix.EPERM})
	}
	compare(t, nil, permissive, attempts)
}

// TestReadOnly changes the mode, the times and the attributes of a file of the user.
func TestReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	attempts := []attempt{
		{"chmod", func() error { return unix.Chmod(path, 0o644) }, unix.EROFS},
		{"fchmod", func() error { return unix.Fchmod(int(f.Fd()), 0o644) }, unix.EROFS},
		{"chown", func() error { return unix.Chown(path, -1, -1) }, unix.EROFS},
		{"utimensat", func() error { return unix.UtimesNanoAt(unix.AT_FDCWD, path, nil, 0) }, unix.EROFS},
	}
	compare(t, nil, Options{ReadOnly: true}, attempts)
	bare := func() error {
		fd, err := unix.Open("/dev/null", unix.O_ACCMODE|unix.O_CLOEXEC, 0)
		if err == nil {
			_ = unix.Close(fd)
		}
		return err
	}
	how := func() error {
		fd, err := unix.Openat2(unix.AT_FDCWD, "/dev/null", &unix.OpenHow{Flags: unix.O_CLOEXEC})
		if err == nil {
			_ = unix.Close(fd)
		}
		return err
	}
	compare(t, nil, Options{RefuseBareOpen: true}, []attempt{{"open", bare, unix.EACCES}})
	compare(t, nil, permissive, []attempt{{"openat2", how, unix.ENOSYS}})
}

// TestSetID makes set-user-ID and set-group-ID files in all ways.
func TestSetID(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	open := func(flags int, mode uint32) func() error {
		return func() error {
			n++
			name := filepath.Join(dir, strconv.Itoa(n))
			if flags&unix.O_TMPFILE == unix.O_TMPFILE {
				name = dir
			}
			fd, err := unix.Openat(unix.AT_FDCWD, name, flags|unix.O_RDWR, mode)
			if err == nil {
				_ = unix.Close(fd)
			}
			return err
		}
	}
	attempts := []attempt{
		{"make a file", open(unix.O_CREAT, 0o755), 0},
		{"make a set-user-ID file", open(unix.O_CREAT, 0o4755), unix.EPERM},
		{"make a set-group-ID file", open(unix.O_CREAT, 0o2755), unix.EPERM},
		{"make a set-user-ID file without a name", open(unix.O_TMPFILE, 0o4755), unix.EPERM},
		{"mknod", func() error { n++; return unix.Mknod(filepath.Join(dir, strconv.Itoa(n)), unix.S_IFREG|0o4755, 0) }, unix.EPERM},
		{"mkdir", func() error { n++; return unix.Mkdir(filepath.Join(dir, strconv.Itoa(n)), 0o2755) }, 0},
		{"chmod", func() error { return unix.Chmod(path, 0o755) }, 0},
		{"chmod u+s", func() error { return unix.Chmod(path, 0o4755) }, unix.EPERM},
		{"chmod g+s", func() error { return unix.Fchmodat(unix.AT_FDCWD, path, 0o2755, 0) }, unix.EPERM},
		{"fchmod u+s", func() error { return unix.Fchmod(int(f.Fd()), 0o4755) }, unix.EPERM},
	}
	compare(t, nil, permissive, attempts)
}

// TestPrograms runs programs that use threads, pipes, and files with the strictest filter that
// suits them.
func TestPrograms(t *testing.T) {
	needsFilter(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"sh":      {"-c", "echo x | cat >f && chmod 700 f && mv f g && rm g"},
		"git":     {"init", "-q", "repository"},
		"python3": {"-c", "import subprocess, threading, os, tempfile; t = threading.Thread(target=print); t.start(); t.join(); subprocess.check_call(['true'])"},
		"gcc":     {"-x", "c", "-o", "a.out", "-c", "/dev/null"},
	} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		filtered(t, nil, Filter(Options{}), func() {
			cmd := exec.Command(path, args...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		})
	}
}
