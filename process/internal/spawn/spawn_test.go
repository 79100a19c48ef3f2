//go:build linux

package spawn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctest"
)

func TestMain(m *testing.M) {
	RunStep()
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) // descriptors that this process has inherited
	os.Exit(m.Run())
}

// start runs a shell script through a gate and returns its output and exit status. A child that
// fails at the gate is killed and reaped.
func start(t *testing.T, step bool, script, dir string, s *Setup) (string, syscall.WaitStatus, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	attr := &syscall.ProcAttr{Dir: dir, Env: os.Environ(), Files: []uintptr{0, w.Fd(), 2}, Sys: &syscall.SysProcAttr{}}
	c := &Command{Path: "/bin/sh", Argv: []string{"sh", "-c", script}, Attr: attr, Setup: s}
	var pid int
	if step {
		var child *Step
		if pid, child, err = StartStep(c); err == nil {
			err = child.Continue(context.Background(), pid)
		}
	} else {
		pid, err = Traced(c)
	}
	_ = w.Close()
	if err != nil && pid > 0 {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	out, _ := io.ReadAll(r)
	var status syscall.WaitStatus
	if pid > 0 {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	return string(out), status, err
}

func eachGate(t *testing.T, f func(t *testing.T, step bool)) {
	t.Run("traced", func(t *testing.T) { f(t, false) })
	t.Run("step", func(t *testing.T) { f(t, true) })
}

func TestSetup(t *testing.T) {
	eachGate(t, func(t *testing.T, step bool) {
		entered, nice := 0, 5
		s := &Setup{
			Enter: func(pid int) error { entered = pid; return nil },
			Hard:  map[int]unix.Rlimit{unix.RLIMIT_NOFILE: {Cur: 50, Max: 60}},
			Soft:  map[int]uint64{unix.RLIMIT_NOFILE: 70, unix.RLIMIT_CORE: 0},
			Nice:  &nice,
		}
		want := "50 60 0 5\n"
		script := `echo $(ulimit -Sn) $(ulimit -Hn) $(ulimit -Sc) $(nice)`
		if step {
			umask := 0o123
			s.Umask = &umask
			script += "; umask"
			want += "0123\n"
		}
		out, status, err := start(t, step, script+"; exit 3", "", s)
		if out != want || status.ExitStatus() != 3 || err != nil || entered == 0 {
			t.Errorf("output %q, status %d, %v, entered %d; want output %q", out, status.ExitStatus(), err, entered, want)
		}
	})
}

// TestFailureAtGate checks that the program is not executed if a part of the setup fails.
func TestFailureAtGate(t *testing.T) {
	failure := errors.New("failure")
	eachGate(t, func(t *testing.T, step bool) {
		out, status, err := start(t, step, "echo executed", "", &Setup{Enter: func(int) error { return failure }})
		exited := step && status.ExitStatus() == 1 // it may exit without an order before it is killed
		if out != "" || !status.Signaled() && !exited || err != failure {
			t.Errorf("output %q, status %#x, %v", out, status, err)
		}
	})
	_, _, err := start(t, true, "echo executed", "/no/such/directory", &Setup{})
	if e, ok := errors.AsType[*Error](err); !ok || e.Op != Chdir || e.Errno != syscall.ENOENT {
		t.Errorf("step in a directory that does not exist: %v", err)
	}
}

// TestStepThatDoesNotStart checks the error of a step that ends before it waits for the order, as
// the Go runtime does without threads or memory.
func TestStepThatDoesNotStart(t *testing.T) {
	status, statusWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	orderRead, order, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = statusWrite.Close()
	defer orderRead.Close()
	s := &Step{command: &Command{}, order: order, status: status}
	defer s.close()
	if err := s.proceed(os.Getpid()); err != syscall.EAGAIN {
		t.Errorf("error %v, want EAGAIN", err)
	}
}

// TestMinNiceWithoutCapability runs minNice on a thread without CAP_SYS_NICE.
func TestMinNiceWithoutCapability(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: dropping a capability needs root")
	}
	proctest.OnThread(func() {
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var sets [2]unix.CapUserData
		err := unix.Capget(&head, &sets[0])
		sets[0].Effective &^= 1 << unix.CAP_SYS_NICE
		sets[0].Permitted &^= 1 << unix.CAP_SYS_NICE
		if err = errors.Join(err, unix.Capset(&head, &sets[0])); err != nil {
			t.Error(err)
			return
		}
		if own, err := OwnNice(); err != nil || minNice() != own {
			t.Errorf("nice value %d, least %d, %v", own, minNice(), err)
		}
	})
	if got := MinNice(); got != -20 {
		t.Errorf("MinNice = %d for root", got)
	}
}

func TestGainsPrivileges(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"plain": 0o755, "setuid": 0o755 | os.ModeSetuid, "setgid": 0o755 | os.ModeSetgid} {
		if err := os.WriteFile(dir+"/"+name, nil, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir+"/"+name, mode); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"./" + name, dir + "/" + name} {
			if got := GainsPrivileges(dir, path); got != (name != "plain") {
				t.Errorf("GainsPrivileges(%q) = %v", path, got)
			}
		}
	}
}

func TestInherits(t *testing.T) {
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil {
		t.Fatal(err)
	}
	if !Inherits(unix.RLIMIT_CORE, core.Cur) {
		t.Errorf("Inherits is false for the own limit %+v", core)
	}
	inheritedFiles.Store(nil)
	out, _, err := start(t, false, "ulimit -Sn", "", &Setup{})
	var soft uint64
	if _, scanErr := fmt.Sscan(strings.TrimSpace(out), &soft); err != nil || scanErr != nil {
		t.Fatalf("%q, %v, %v", out, err, scanErr)
	}
	if Inherits(unix.RLIMIT_NOFILE, soft) {
		t.Error("the limit of open files is known before a child was seen")
	}
	if _, _, err := start(t, false, "true", "", &Setup{Soft: map[int]uint64{unix.RLIMIT_NOFILE: soft}}); err != nil {
		t.Fatal(err)
	}
	if !Inherits(unix.RLIMIT_NOFILE, soft) || Inherits(unix.RLIMIT_NOFILE, soft-1) {
		t.Errorf("the limit of open files of children, %d, is not known after one was seen", soft)
	}
}
