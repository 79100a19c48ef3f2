package bubblewrap

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/proctest"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

const nobody = 65534

// TestMain fails if the tests leave a descriptor, a goroutine or a child behind.
func TestMain(m *testing.M) {
	if flags := os.Getenv(enterVariable); flags != "" {
		runEntrant(flags)
	}
	if os.Getenv(serverVariable) != "" {
		runServer()
	}
	flag.Parse()
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) // descriptors that this process has inherited
	leader.System()
	warm := make(chan os.Signal, 1)
	signal.Notify(warm, syscall.SIGCHLD) // starts a goroutine that never ends, once
	signal.Stop(warm)
	if err := warmUp(); err != nil { // starts the poller, once
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fds, goroutines := proctest.Descriptors(), runtime.NumGoroutine()
	code := m.Run()
	clean := proctest.Poll(func() bool {
		return len(proctest.Descriptors()) <= len(fds) && runtime.NumGoroutine() <= goroutines && len(proctest.Children()) == 0
	})
	fuzzes := flag.Lookup("test.fuzz").Value.String() != "" // which keeps goroutines of its own
	if code == 0 && !clean && !fuzzes {
		fmt.Fprintf(os.Stderr, "left behind: descriptors %v → %v, goroutines %d → %d, children %v\n",
			fds, proctest.Descriptors(), goroutines, runtime.NumGoroutine(), proctest.Children())
		code = 1
	}
	os.Exit(code)
}

func warmUp() error {
	pidfd := -1
	attr := &syscall.ProcAttr{Sys: &syscall.SysProcAttr{}}
	leader.RequestPidfd(attr.Sys, &pidfd)
	pid, err := syscall.ForkExec("/bin/true", []string{"true"}, attr)
	if err != nil {
		return err
	}
	l := leader.New(pid, pidfd, nil)
	defer l.CloseHandle()
	_ = l.Wait()
	_, err = l.Reap()
	return err
}

// noMarks is a Forker.
func noMarks(f func() (int, error)) (int, error) { return f() }

// program returns bwrap, and skips the test if no sandbox can be made.
func program(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("bwrap")
	if err != nil {
		proctest.SkipUnlessRequired(t, "bubblewrap", "bwrap is not installed")
	}
	if s := support(path); !s.Works() {
		proctest.SkipUnlessRequired(t, "bubblewrap", s.Why)
	}
	return path
}

var probed = map[string]Support{}

func support(path string) Support {
	if _, ok := probed[path]; !ok {
		s := Probe(context.Background(), path, noMarks, nil)
		s.Close()
		probed[path] = s
	}
	return probed[path]
}

// basic is everything readable, with all namespaces.
func basic(t testing.TB) *Config {
	path := program(t)
	return newConfig(t, path, !support(path).Plain)
}

// newConfig is that of a program, which is open until the test ends.
func newConfig(t testing.TB, path string, userNS bool) *Config {
	t.Helper()
	p, err := OpenProgram(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	c := everything(userNS)
	c.Program = p
	return c
}

// everything is readable, with all namespaces.
func everything(userNS bool) *Config {
	var st unix.Stat_t
	_ = unix.Stat("/", &st)
	return &Config{
		UserNS:    userNS,
		Superuser: os.Geteuid() == 0,
		Sandbox: &sandbox.Config{
			FilesDefault: sandbox.Read,
			Network:      sandbox.Network{Mode: sandbox.NoNetwork},
			Processes:    sandbox.Own,
			Tmp:          sandbox.Private,
		},
		Dir: File{Path: "/", Dev: uint64(st.Dev), Ino: st.Ino},
	}
}

// eachKind runs a test without and with a user namespace, as far as the machine can.
func eachKind(t *testing.T, f func(t *testing.T, c *Config)) {
	path := program(t)
	s := support(path)
	if s.Plain {
		t.Run("plain", func(t *testing.T) { f(t, newConfig(t, path, false)) })
	}
	if s.UserNS {
		t.Run("user namespace", func(t *testing.T) { f(t, newConfig(t, path, true)) })
	}
}

// bind opens a path for a rule.
func bind(t testing.TB, path string, access sandbox.Access) Bind {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	b := Bind{Path: path, FD: -1, Access: access, Dir: info.IsDir()}
	if access == sandbox.None {
		return b
	}
	if b.FD, err = unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(b.FD) })
	return b
}

// tree makes files with their names as content, and returns their directory. If that is in a
// directory of which a sandbox has its own, the config shares it.
func tree(t testing.TB, c *Config, names ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/lib", "runnel-sandbox-")
	if err != nil { // not root
		if dir, err = os.MkdirTemp("", "runnel-sandbox-"); err == nil {
			dir, err = filepath.EvalSymlinks(dir)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	_ = os.Chmod(dir, 0o755)
	for _, tmp := range tmpDirs {
		if sandbox.Below(dir, tmp) {
			c.Sandbox.Tmp = sandbox.Shared
		}
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, []byte(name), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func identity(t testing.TB, path string) File {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return File{Path: path, Dev: uint64(st.Dev), Ino: st.Ino}
}

func mustStart(t testing.TB, c *Config) *Namespaces {
	t.Helper()
	n, err := Start(context.Background(), c, noMarks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}
