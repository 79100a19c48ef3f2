package bubblewrap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctest"
)

// noneLeft checks that this process has no more descriptors and children than before.
func noneLeft(t *testing.T) {
	t.Helper()
	before := len(proctest.Descriptors())
	t.Cleanup(func() {
		if !proctest.Poll(func() bool { return len(proctest.Children()) == 0 && len(proctest.Descriptors()) <= before }) {
			t.Errorf("left: children %v, descriptors %v", proctest.Children(), proctest.Descriptors())
		}
	})
}

// sleeper starts a process inside, of which the kernel has a child of this process.
func sleeper(t *testing.T, n *Namespaces) *exec.Cmd {
	t.Helper()
	cmd := n.command(t, n.Flags, "/bin/sh", "-c", "echo; exec sleep 1000")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// TestEnd ends a sandbox in different ways; each kills the processes inside.
func TestEnd(t *testing.T) {
	for name, end := range map[string]func(n *Namespaces){
		"close":         (*Namespaces).Close,
		"end":           (*Namespaces).End,
		"bwrap killed":  func(n *Namespaces) { _ = unix.Kill(n.bwrap.PID, unix.SIGKILL) },
		"holder killed": func(n *Namespaces) { _ = unix.Kill(holderOf(n.PIDFD), unix.SIGKILL) },
	} {
		t.Run(name, func(t *testing.T) {
			noneLeft(t)
			c := basic(t)
			n, err := Start(context.Background(), c, noMarks)
			if err != nil {
				t.Fatal(err)
			}
			cmd := sleeper(t, n)
			holder, bwrap := holderOf(n.PIDFD), n.bwrap.PID
			end(n)
			if err := cmd.Wait(); err == nil {
				t.Error("the process inside has exited by itself")
			}
			var calls sync.WaitGroup
			for range 3 {
				calls.Go(n.Close)
			}
			calls.Wait()
			n.Close()
			n.End()
			if proctest.State(holder) != 0 && proctest.Alive(holder) || proctest.State(bwrap) != 0 {
				t.Error("they have not ended")
			}
		})
	}
}

// TestSubreaper checks that a holder that has outlived bwrap is reaped by its new parent.
func TestSubreaper(t *testing.T) {
	noneLeft(t)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	n := mustStart(t, basic(t))
	holder := holderOf(n.PIDFD)
	_ = unix.Kill(n.bwrap.PID, unix.SIGKILL)
	if !proctest.Poll(func() bool { return proctest.State(holder) == 0 }) {
		t.Errorf("the holder is %c", proctest.State(holder))
	}
	n.Close()
}

func TestServerDies(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{serverVariable + "=" + program(t)}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var bwrap, holder int
	if _, err := fmt.Fscan(out, &bwrap, &holder); err != nil || !proctest.Alive(bwrap) || !proctest.Alive(holder) {
		t.Errorf("%v, bwrap %d, holder %d", err, bwrap, holder)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !proctest.Poll(func() bool { return !proctest.Alive(bwrap) && !proctest.Alive(holder) }) {
		t.Error("they run on")
	}
}

func TestStorm(t *testing.T) {
	noneLeft(t)
	c := basic(t)
	slots := make(chan bool, 8)
	var all sync.WaitGroup
	for range 50 {
		slots <- true
		all.Go(func() {
			defer func() { <-slots }()
			n, err := Start(context.Background(), c, noMarks)
			if err != nil {
				t.Error(err)
				return
			}
			n.Close()
		})
	}
	all.Wait()
}

// fake makes a script that is used as bwrap.
func fake(t *testing.T, script string) *Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bwrap")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return newConfig(t, path, true)
}

func TestFailures(t *testing.T) {
	for script, want := range map[string]string{
		"exit 0":                                "bwrap has exited",
		"echo one >&2; echo two >&2":            "bwrap has exited: one two",
		"kill -9 $$":                            "bwrap has exited",
		"sleep 1000 & echo failed >&2; exit 1":  "bwrap has exited: failed", // the child has the socket
		"head -c 9999 /dev/zero >&2":            "bwrap has exited: " + strings.Repeat("\x00", maxMessage),
		`printf '\001\004\015\000\000\000' >&3`: "listen on 127.0.0.1: permission denied",
		`printf '\001\000\000\000\000\000' >&3`: "unexpected message",
		`printf x >&3; sleep 0.05`:              "unexpected message",
		`head -c 200 /dev/zero >&3`:             "unexpected message",
	} {
		t.Run(script, func(t *testing.T) {
			noneLeft(t)
			_, err := Start(context.Background(), fake(t, script), noMarks)
			if _, ok := errors.AsType[*Error](err); !ok || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%.2000v, want %q", err, want)
			}
		})
	}
	if _, err := OpenProgram("/nonexistent"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("no bwrap: %v", err)
	}
}

// TestCanceled ends starts at all times.
func TestCanceled(t *testing.T) {
	noneLeft(t)
	c := fake(t, "sleep 1000 & exec sleep 1000")
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel) // bwrap hangs
	if _, err := Start(ctx, c, noMarks); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := Start(ctx, basic(t), noMarks); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	c = basic(t)
	for wait := time.Duration(0); wait < 10*time.Millisecond; wait += 500 * time.Microsecond {
		ctx, cancel := context.WithTimeout(context.Background(), wait) // as long as a start takes
		n, err := Start(ctx, c, noMarks)
		cancel()
		if err == nil {
			n.Close()
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: %v", wait, err)
		}
	}
}

func TestNoDescriptors(t *testing.T) {
	c := basic(t)
	noneLeft(t)
	free := proctest.FillDescriptors(t)
	defer free()
	for range 3 {
		if _, err := Start(context.Background(), c, noMarks); !errors.Is(err, unix.EMFILE) {
			t.Errorf("error %v", err)
		}
	}
}
