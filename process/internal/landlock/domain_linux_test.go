package landlock

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctest"
	"github.com/runnel-rpc/runnel/process/internal/runas"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// ofChild opens a file of the process outside.
func ofChild(name string, flags int) func(*tree) error {
	return func(tr *tree) error { return opens(fmt.Sprintf("/proc/%d/%s", tr.child, name), flags)(tr) }
}

func trace(tr *tree) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(tr.child), 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil // the tracer ends with its thread, which detaches
}

func readMemory(tr *tree) error {
	var b [1]byte
	local := []unix.Iovec{{Base: &b[0], Len: 1}}
	_, err := unix.ProcessVMReadv(tr.child, local, []unix.RemoteIovec{{Base: 1 << 20, Len: 1}}, 0)
	if err == unix.EFAULT { // it was permitted; nothing is at that address
		return nil
	}
	return err
}

func takeDescriptor(tr *tree) error {
	pidfd, err := unix.PidfdOpen(tr.child, 0)
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	fd, err := unix.PidfdGetfd(pidfd, 0, 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

func signal(tr *tree) error { return unix.Kill(tr.child, 0) }

func signalByPidfd(tr *tree) error {
	pidfd, err := unix.PidfdOpen(tr.child, 0)
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	return unix.PidfdSendSignal(pidfd, 0, nil, 0)
}

// connectAbstract connects to an abstract socket that was made outside.
func connectAbstract(t *testing.T) func(*tree) error {
	name := fmt.Sprintf("@rn-%d-%s", os.Getpid(), t.Name())
	listener, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err == nil {
		err = unix.Bind(listener, &unix.SockaddrUnix{Name: name})
	}
	if err == nil {
		err = unix.Listen(listener, 8)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(listener) })
	return func(*tree) error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Connect(fd, &unix.SockaddrUnix{Name: name})
	}
}

// TestProcesses makes attempts to reach a process that is not restricted.
func TestProcesses(t *testing.T) {
	needs(t, scopeABI)
	eachUser(t, func(t *testing.T, user *runas.User) {
		run(t, user, alone, []attempt{
			{"signal", signal, 0}, // processes are shared
			{"signal by pidfd", signalByPidfd, 0},
			{"command line", ofChild("cmdline", unix.O_RDONLY), 0},
			{"connect to an abstract socket", connectAbstract(t), unix.EPERM},
			{"environment", ofChild("environ", unix.O_RDONLY), unix.EACCES},
			{"memory for reading", ofChild("mem", unix.O_RDONLY), unix.EACCES},
			{"memory for writing", ofChild("mem", unix.O_RDWR), unix.EACCES},
			{"file by its root", ofChild("root/etc/passwd", unix.O_RDONLY), unix.EACCES},
			{"file by its working directory", ofChild("cwd/.", unix.O_RDONLY), unix.EACCES},
			{"its descriptor", ofChild("fd/1", unix.O_RDONLY), unix.EACCES},
			{"process_vm_readv", readMemory, unix.EPERM},
			{"pidfd_getfd", takeDescriptor, unix.EPERM},
			{"ptrace", trace, unix.EPERM},
		})
	})
}

// inside is the ruleset of a sandbox that has a mount namespace, made in the one of this process:
// only what Landlock adds is refused.
func inside(tr *tree) (int, error) {
	return Ruleset(&sandbox.Config{
		Files: []sandbox.Rule{
			{Path: tr.path("w"), Access: sandbox.Write, Missing: sandbox.Refuse},
			{Path: tr.path("secret"), Access: sandbox.None, Missing: sandbox.Refuse},
			{Path: tr.path("missing"), Access: sandbox.Write, Missing: sandbox.Skip},
		},
		FilesDefault: sandbox.Read, Network: sandbox.Network{Mode: sandbox.NoNetwork},
		Processes: sandbox.Own, Tmp: sandbox.Shared, Devices: sandbox.MinimalDevices,
	}, Options{Inside: true})
}

// TestInside makes attempts at what mounts do not refuse.
func TestInside(t *testing.T) {
	needs(t, scopeABI)
	const wr, rw = unix.O_WRONLY, unix.O_RDWR
	eachUser(t, func(t *testing.T, user *runas.User) {
		run(t, user, inside, []attempt{
			{"write", opens("w/file", rw), 0},
			{"fifo", opens("w/fifo", rw), 0},
			{"rename to another directory", change(rename, "w/file2", "w/sub/file2"), 0},
			{"list the root", opens("/", unix.O_RDONLY), 0},
			{"read", opens("r/file", unix.O_RDONLY), 0},
			{"null", opens("/dev/null", rw), 0},
			{"zero", opens("/dev/zero", wr), 0},
			{"own name", opens("/proc/thread-self/comm", wr), 0},
			{"make a terminal", makeTerminal, 0},
			{"shared memory", opens("/dev/shm/rn-test", wr|unix.O_CREAT), 0},
			{"unlink it", func(*tree) error { return unix.Unlink("/dev/shm/rn-test") }, 0},
			{"of the mounts: secret", opens("secret/file", unix.O_RDONLY), 0},
			{"of the mounts: mkdir", change(mkdir, "r/d"), 0},

			{"fifo outside", opens("r/fifo", rw), unix.EACCES},
			{"secret fifo", opens("secret/fifo", rw), unix.EACCES},
			{"signal", signal, unix.EPERM},
			{"signal by pidfd", signalByPidfd, unix.EPERM},
			{"connect to an abstract socket", connectAbstract(t), unix.EPERM},
			{"memory", ofChild("mem", unix.O_RDWR), unix.EACCES},
			{"ptrace", trace, unix.EPERM},
		})
	})
}

// TestInsideBubblewrap runs TestInside in the mount, PID and IPC namespaces that bubblewrap makes.
func TestInsideBubblewrap(t *testing.T) {
	needs(t, scopeABI)
	bwrap, err := exec.LookPath("bwrap")
	if err != nil {
		proctest.SkipUnlessRequired(t, "bubblewrap", "it is not installed")
	}
	if os.Getenv("RUNNEL_TEST_INSIDE") != "" {
		t.Skip("SKIPPED: this is the test inside")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for path := dir; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		_ = os.Chmod(path, 0o777) // for the test as another user
	}
	options := []string{"--ro-bind", "/", "/", "--bind", dir, dir, "--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm", "--proc", "/proc", "--unshare-pid", "--unshare-ipc", "--die-with-parent"}
	if err := exec.Command(bwrap, append(options, "true")...).Run(); err != nil {
		proctest.SkipUnlessRequired(t, "bubblewrap", fmt.Sprint("it does not work here: ", err))
	}
	cmd := exec.Command(bwrap, append(options, self, "-test.v", "-test.run", "^TestInside$")...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "RUNNEL_TEST_INSIDE=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestInside ")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// makeTerminal makes a terminal, opens it by its path, and asks for its size.
func makeTerminal(*tree) error {
	master, path, err := terminal()
	if err != nil {
		return err
	}
	defer unix.Close(master)
	return sizeOf(path)
}

// terminal makes a terminal and returns its master and the path of the other side.
func terminal() (master int, path string, err error) {
	master, err = unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, "", err
	}
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		_ = unix.Close(master)
	}
	return master, fmt.Sprintf("/dev/pts/%d", n), err
}

func sizeOf(path string) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	return err
}

// TestTerminal opens a terminal by its path, which with Landlock alone only AllowTerminal permits.
func TestTerminal(t *testing.T) {
	needs(t, ioctlABI)
	master, path, err := terminal()
	if err != nil {
		t.Skipf("SKIPPED: no terminal can be made: %v", err)
	}
	defer unix.Close(master)
	slave, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(slave)
	size := func(*tree) error { return sizeOf(path) }
	run(t, nil, alone, []attempt{
		{"make a terminal", makeTerminal, unix.EACCES},
		{"without AllowTerminal", size, unix.EACCES},
	})
	allow := func(tr *tree) (int, error) {
		fd, err := alone(tr)
		if err == nil {
			err = AllowTerminal(fd, slave)
		}
		return fd, err
	}
	run(t, nil, allow, []attempt{{"with AllowTerminal", size, 0}})
	named := func(tr *tree) (int, error) {
		return Ruleset(shared(sandbox.Rule{Path: "/dev/pts", Access: sandbox.Write}), Options{})
	}
	run(t, nil, named, []attempt{{"make a terminal with a rule for all", makeTerminal, 0}})
}
