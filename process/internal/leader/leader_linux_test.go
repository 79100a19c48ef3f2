package leader

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// start starts a command as the leader of a group, with a pidfd or without.
func start(t *testing.T, withPidfd bool, argv ...string) *Group {
	t.Helper()
	path, err := exec.LookPath(argv[0])
	if err != nil {
		t.Fatal(err)
	}
	pidfd := -1
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true}}
	if withPidfd {
		RequestPidfd(attr.Sys, &pidfd)
	}
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		t.Fatal(err)
	}
	g := &Group{Leader: New(pid, pidfd, nil), Kernel: System()}
	t.Cleanup(func() {
		_ = g.Signal(syscall.SIGKILL)
		_ = AwaitChild(pid)
		_, _ = g.Reap()
		g.CloseHandle()
	})
	return g
}

func eachHandle(t *testing.T, f func(t *testing.T, withPidfd bool)) {
	for name, withPidfd := range map[string]bool{"pidfd": true, "number": false} {
		t.Run(name, func(t *testing.T) { f(t, withPidfd) })
	}
}

// counter counts calls of Reaped.
type counter struct{ calls, pid atomic.Int64 }

func (c *counter) Reaped(pid int) {
	c.calls.Add(1)
	c.pid.Store(int64(pid))
}

func TestReap(t *testing.T) {
	eachHandle(t, func(t *testing.T, withPidfd bool) {
		g := start(t, withPidfd, "sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; exit 3")
		var observer counter
		g.Observer, g.Timed = &observer, true
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if code, sig, known := g.ExitStatus(); code != 3 || sig != 0 || !known {
			t.Errorf("ExitStatus() = %d, %v, %v", code, sig, known)
		}
		if !g.Exited() || !g.ExitObserved() || g.Reaped() || observer.calls.Load() > 0 {
			t.Error("Wait has reaped the leader")
		}
		first, err1 := g.Reap()
		second, err2 := g.Reap()
		if first != second || first.Code != 3 || !first.Known || first.OwnTime <= 0 || err1 != nil || err2 != nil {
			t.Errorf("Reap() = %+v, %v, then %+v, %v", first, err1, second, err2)
		}
		if observer.calls.Load() != 1 || observer.pid.Load() != int64(g.PID) {
			t.Errorf("%d calls of Reaped, the last for %d, want 1 for %d", observer.calls.Load(), observer.pid.Load(), g.PID)
		}
		if _, _, known := g.ExitStatus(); known || !g.Reaped() {
			t.Error("ExitStatus is known after the reap")
		}
	})
}

func TestReapBeforeExit(t *testing.T) {
	g := start(t, true, "sleep", "60")
	if _, err := g.Reap(); err != ErrRunning {
		t.Errorf("Reap() = %v", err)
	}
	if g.Exited() || g.ExitObserved() {
		t.Error("a running leader has exited")
	}
	if _, _, known := g.ExitStatus(); known {
		t.Error("ExitStatus of a running leader is known")
	}
}

func TestWaitEnds(t *testing.T) {
	for name, end := range map[string]func(*Leader){"Abandon": (*Leader).Abandon, "CloseHandle": (*Leader).CloseHandle} {
		t.Run(name, func(t *testing.T) {
			g := start(t, true, "sleep", "60")
			if !g.HasHandle() {
				t.Skip("there are no pidfds")
			}
			done := make(chan error)
			go func() { done <- g.Wait() }()
			end(g.Leader)
			if err := <-done; err != os.ErrClosed {
				t.Errorf("Wait() = %v", err)
			}
			if err := g.Signal(syscall.SIGKILL); err != nil {
				t.Errorf("Signal() = %v", err)
			}
		})
	}
}

// TestLeaderOutsideItsGroup checks that a leader that is not in the group with its number is a
// member, and is signaled.
func TestLeaderOutsideItsGroup(t *testing.T) {
	eachHandle(t, func(t *testing.T, withPidfd bool) {
		cmd := exec.Command("sleep", "60") // in the group of this process
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		pidfd := -1
		if withPidfd {
			pidfd, _ = unix.PidfdOpen(cmd.Process.Pid, 0)
		}
		g := &Group{Leader: New(cmd.Process.Pid, pidfd, nil), Kernel: System()}
		defer g.CloseHandle()
		for name, err := range map[string]error{"Signal": g.Signal(syscall.SIGURG), "SignalLeader": g.SignalLeader(syscall.SIGURG)} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := g.Signal(syscall.SIGKILL); err != nil {
			t.Errorf("Signal(SIGKILL) = %v", err)
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		if _, sig, _ := g.ExitStatus(); sig != syscall.SIGKILL {
			t.Errorf("the leader was ended by %v", sig)
		}
	})
}

func TestMethodsAfterReap(t *testing.T) {
	eachHandle(t, func(t *testing.T, withPidfd bool) {
		g := start(t, withPidfd, "true")
		_ = g.Wait()
		_, _ = g.Reap()
		for name, err := range map[string]error{
			"Signal": g.Signal(syscall.SIGURG), "SignalLeader": g.SignalLeader(syscall.SIGURG), "Pause": g.Pause(),
			"Resume": g.Resume(), "Terminate": g.Terminate(syscall.SIGTERM),
		} {
			if !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if alive, err := g.Alive(); alive || err != nil {
			t.Errorf("Alive() = %v, %v", alive, err)
		}
	})
}

func TestDiscard(t *testing.T) {
	for name, test := range map[string]struct {
		discard func(pid int)
		leads   bool // a process group
	}{"a child": {Discard, false}, "a group": {DiscardGroup, true}, "a child that has made no group": {DiscardGroup, false}} {
		cmd := exec.Command("sleep", "60")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: test.leads}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		test.discard(cmd.Process.Pid)
		if _, err := waitid(cmd.Process.Pid, unix.WNOHANG); !errors.Is(err, syscall.ECHILD) || time.Since(began) > 30*time.Second {
			t.Errorf("%s is not reaped: %v", name, err)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

func TestNotPermitted(t *testing.T) {
	if err := NotPermitted(nil); err != nil {
		t.Errorf("NotPermitted(nil) = %v", err)
	}
	err := NotPermitted([]int{3, 1, 3})
	denied, ok := errors.AsType[*NotPermittedError](err)
	if !ok || !slices.Equal(denied.PIDs, []int{1, 3}) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v", err)
	}
}
