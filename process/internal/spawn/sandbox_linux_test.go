package spawn

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/proctest"
	"github.com/runnel-rpc/runnel/process/internal/runas"
)

// namespaces are namespaces that bubblewrap has made, with a process in them.
type namespaces struct {
	pidfd, flags int
	root         int // of the mount namespace
}

// makeNamespaces makes namespaces with bubblewrap, and skips the test without it. They end with the test.
func makeNamespaces(t *testing.T) namespaces {
	t.Helper()
	path, err := exec.LookPath("bwrap")
	if err != nil {
		t.Skip("NOT TESTED: there is no bwrap")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := exec.Command(path, "--unshare-all", "--info-fd", "3", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
		"--as-pid-1", "/bin/sh", "-c", "echo ready; while read line; do :; done")
	c.ExtraFiles = []*os.File{w}
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = c.Wait()
	})
	_ = w.Close()
	var info struct {
		PID int `json:"child-pid"`
	}
	if err := json.NewDecoder(r).Decode(&info); err != nil {
		t.Skip("NOT TESTED: bwrap makes no namespaces here: ", err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	n := namespaces{flags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS}
	if os.Geteuid() != 0 {
		n.flags |= unix.CLONE_NEWUSER
	}
	if n.pidfd, err = unix.PidfdOpen(info.PID, 0); err != nil {
		t.Fatal(err)
	}
	if n.root, err = unix.Open(fmt.Sprintf("/proc/%d/root", info.PID), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = unix.Close(n.pidfd), unix.Close(n.root) })
	return n
}

// entering is a shell script that enters a sandbox.
type entering struct {
	t       *testing.T
	command Command
	out     *os.File
	step    *Step
	pid     int // of the step, then of the command
}

// newEntering starts the step of a script. Without namespaces it applies only the rest of the sandbox.
func newEntering(t *testing.T, n *namespaces, script string, setup *Setup, user ...*runas.User) *entering {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	root := unix.AT_FDCWD
	e := &entering{t: t, out: r}
	e.command = Command{
		Path: "/bin/sh", Argv: []string{"sh", "-c", script}, Setup: setup,
		Attr:   &syscall.ProcAttr{Env: []string{"PATH=/usr/bin:/bin"}, Files: []uintptr{0, w.Fd(), 2}, Sys: &syscall.SysProcAttr{Setsid: true}},
		Opened: &Opened{Dir: -1, Program: -1},
	}
	if len(user) > 0 {
		e.command.Opened.User = user[0]
	}
	if setup.Sandbox == nil {
		setup.Sandbox = &Sandbox{PIDFD: -1, Ruleset: -1, Terminal: -1}
	}
	if e.pid, e.step, err = StartStep(&e.command); err != nil {
		t.Fatal(err)
	}
	prefix := "/"
	if n != nil {
		setup.Sandbox.PIDFD, setup.Sandbox.Flags = n.pidfd, n.flags
		root, prefix = n.root, ""
	}
	open := func(name string) int {
		fd, err := unix.Openat(root, prefix+name, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	e.command.Opened.Dir, e.command.Opened.Program = open("usr"), open("bin/sh")
	t.Cleanup(func() { _, _, _ = r.Close(), unix.Close(e.command.Opened.Dir), unix.Close(e.command.Opened.Program) })
	return e
}

// enter enters the namespaces and reaps the processes that are not needed any more.
func (e *entering) enter(ctx context.Context) error {
	entered, err := e.step.Enter(ctx, e.pid)
	if err != nil {
		e.discardGroup()
		return err
	}
	leader.Discard(e.pid)
	leader.Discard(entered.Helper)
	e.pid = entered.PID
	return nil
}

func (e *entering) discardGroup() {
	leader.DiscardGroup(e.pid)
	if left := proctest.Children(); slices.Contains(left, e.pid) {
		e.t.Errorf("children %v after the end of %d", left, e.pid)
	}
}

// proceed lets the command run, and returns its output and exit status.
func (e *entering) proceed(ctx context.Context) (string, syscall.WaitStatus, error) {
	if err := e.step.Continue(ctx, e.pid); err != nil {
		leader.Discard(e.pid)
		return "", 0, err
	}
	out, _ := io.ReadAll(e.out)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(e.pid, &status, 0, nil); err != nil {
		e.t.Error(err)
	}
	return string(out), status, nil
}

// runner runs a script in a sandbox.
type runner func(t *testing.T, script string, setup *Setup, user ...*runas.User) (string, syscall.WaitStatus, error)

// run enters the namespaces and runs the script.
func (n *namespaces) run(t *testing.T, script string, setup *Setup, user ...*runas.User) (string, syscall.WaitStatus, error) {
	t.Helper()
	e := newEntering(t, n, script, setup, user...)
	if err := e.enter(t.Context()); err != nil {
		return "", 0, err
	}
	return e.proceed(t.Context())
}

// eachSandbox runs f with namespaces and without.
func eachSandbox(t *testing.T, f func(t *testing.T, run runner)) {
	t.Run("namespaces", func(t *testing.T) {
		n := makeNamespaces(t)
		f(t, n.run)
	})
	t.Run("alone", func(t *testing.T) {
		f(t, func(t *testing.T, script string, setup *Setup, user ...*runas.User) (string, syscall.WaitStatus, error) {
			return newEntering(t, nil, script, setup, user...).proceed(t.Context())
		})
	})
}

// mkdirCalls are the system calls that mkdir(1) makes.
var mkdirCalls = []uint32{unix.SYS_MKDIRAT}

// TestSandbox checks what a command has in a sandbox: limits, attributes, no capabilities, a filter, its
// exit status, and that it is a child of this process.
func TestSandbox(t *testing.T) {
	eachSandbox(t, func(t *testing.T, run runner) {
		entered, nice, umask := 0, 5, 0o123
		s := &Setup{
			Enter: func(pid int) error { entered = pid; return nil },
			Hard:  map[int]unix.Rlimit{unix.RLIMIT_NOFILE: {Cur: 50, Max: 60}},
			Nice:  &nice, Umask: &umask,
			Sandbox: &Sandbox{PIDFD: -1, Ruleset: -1, Terminal: -1, CoreLimit: true, Filter: refusing(mkdirCalls...)},
		}
		out, status, err := run(t, `pwd; echo $(ulimit -Sn) $(ulimit -Hn) $(nice); umask; prlimit --core --raw --noheadings -o HARD
			grep -E "^(Cap|NoNewPrivs|SigBlk|SigIgn|SigCgt|Seccomp:)" /proc/self/status; mkdir /dev/shm/none 2>&1; ls /proc/self/fd; exit 3`, s)
		for _, line := range []string{"/usr\n50 60 5\n0123\n", "\n1\n", "NoNewPrivs:\t1\n", "SigBlk:\t0000000000000000\n",
			"CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n", "Seccomp:\t2\n", "Operation not permitted\n0\n1\n2\n3\n"} {
			if !strings.Contains(out, line) {
				t.Errorf("the output has no %q:\n%s", line, out)
			}
		}
		if os.Geteuid() == 0 && !strings.Contains(out, "CapBnd:\t0000000000000000\n") {
			t.Error("the bounding set is not empty")
		}
		if status.ExitStatus() != 3 || err != nil || entered == 0 {
			t.Errorf("status %#x, %v", status, err)
		}
		if _, status, err := run(t, "kill -TERM $$", &Setup{}); status.Signal() != syscall.SIGTERM || err != nil {
			t.Errorf("status %#x, %v", status, err)
		}
	})
}

// refusing is a filter that refuses some system calls of this architecture.
func refusing(calls ...uint32) (f []unix.SockFilter) {
	f = append(f, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS})
	for _, nr := range calls {
		f = append(f, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: nr},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
	}
	return append(f, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
}

// TestNamespaces checks that the command is in the namespaces, and has its process id in this one.
func TestNamespaces(t *testing.T) {
	n := makeNamespaces(t)
	e := newEntering(t, &n, `echo $$; readlink /proc/self/ns/net /proc/self/ns/mnt; ls /tmp; ps -e -o pid= | wc -l; read line`, &Setup{})
	if err := e.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", e.pid)); err != nil || !strings.Contains(string(stat), fmt.Sprintf(" %d ", os.Getpid())) {
		t.Errorf("%d is no child of this process: %s", e.pid, stat)
	}
	out, status, err := e.proceed(t.Context())
	lines := strings.Fields(out)
	net, _ := os.Readlink("/proc/self/ns/net")
	mnt, _ := os.Readlink("/proc/self/ns/mnt")
	if len(lines) != 4 || lines[0] == fmt.Sprint(e.pid) || lines[1] == net || lines[2] == mnt || lines[3] != "4" {
		t.Errorf("%q, status %#x, %v", out, status, err)
	}
}

// TestSandboxAsUser checks that the user is changed before the capabilities are lost.
func TestSandboxAsUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: changing the user needs root")
	}
	eachSandbox(t, func(t *testing.T, run runner) {
		for _, u := range []*runas.User{{UID: 65533, GID: 65532, Groups: []uint32{65530}}, {UID: 0, GID: 0}} {
			out, status, err := run(t, "id -u; id -g; id -G; grep CapEff /proc/self/status", &Setup{}, u)
			want := fmt.Sprintf("%d\n%d\n%d\nCapEff:\t0000000000000000\n", u.UID, u.GID, u.GID)
			if len(u.Groups) > 0 {
				want = "65533\n65532\n65532 65530\nCapEff:\t0000000000000000\n"
			}
			if out != want || status != 0 || err != nil {
				t.Errorf("%q, want %q; status %#x, %v", out, want, status, err)
			}
		}
	})
}

// TestSandboxFailures checks the errors of what fails between the fork and the exec.
func TestSandboxFailures(t *testing.T) {
	devNull, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer devNull.Close()
	wrong := int(devNull.Fd())
	check := func(t *testing.T, err error, op Op, errno syscall.Errno) {
		t.Helper()
		if e, ok := errors.AsType[*Error](err); !ok || e.Op != op || errno != 0 && e.Errno != errno {
			t.Errorf("%#v, want operation %d and %v", err, op, errno)
		}
	}
	eachSandbox(t, func(t *testing.T, run runner) {
		_, _, err := run(t, "true", &Setup{Sandbox: &Sandbox{PIDFD: -1, Ruleset: wrong, Terminal: -1}})
		check(t, err, SetSandbox, 0)
		_, _, err = run(t, "true", &Setup{Sandbox: &Sandbox{PIDFD: -1, Ruleset: -1, Terminal: -1, Filter: []unix.SockFilter{{Code: 0xffff}}}})
		check(t, err, SetSandbox, unix.EINVAL)
		_, _, err = run(t, "true", &Setup{Sandbox: &Sandbox{PIDFD: -1, Ruleset: -1, Terminal: -1, Filter: refusing(unix.SYS_EXECVEAT)}})
		check(t, err, Exec, unix.EPERM)
		_, _, err = run(t, "true", &Setup{Sandbox: &Sandbox{PIDFD: -1, Ruleset: -1, Terminal: -1, Filter: refusing(unix.SYS_FCHDIR)}})
		check(t, err, Chdir, unix.EPERM)
		failure := errors.New("failure")
		if out, _, err := run(t, "echo executed", &Setup{Enter: func(int) error { return failure }}); out != "" || err != failure {
			t.Errorf("%q, %v", out, err)
		}
	})
	e := newEntering(t, &namespaces{pidfd: wrong, flags: unix.CLONE_NEWNS, root: openRoot(t)}, "true", &Setup{})
	check(t, e.enter(t.Context()), SetSandbox, 0)
}

func openRoot(t *testing.T) int {
	fd, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// TestKilledWhileEntering kills the processes between the step and the command, the group or only one of
// them, at any time. Nothing may be left, and no wait may hang.
func TestKilledWhileEntering(t *testing.T) {
	n, rounds := makeNamespaces(t), 60
	if os.Getenv("RUNNEL_TEST_FULL") != "" {
		rounds = 1000
	}
	before := proctest.Children()
	began := time.Now()
	if _, status, err := n.run(t, "true", &Setup{}); status != 0 || err != nil {
		t.Fatal(status, err)
	}
	duration := time.Since(began) // of a start, longer with the race detector
	results := make(map[string]int)
	const places = 3 // before, in and after the command; a start may take longer than the first one
	for i := 0; i < rounds || len(results) < places && i < 20*rounds; i++ {
		delay := time.Duration(i%rounds) * duration / time.Duration(rounds) * time.Duration(2+i/rounds) / 2
		e := newEntering(t, &n, "echo executed", &Setup{})
		step := e.pid
		killed := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(delay, func() {
			defer close(killed)
			switch i % 4 {
			case 0:
				cancel()
			case 1: // the step or, after its end, nobody
				_ = unix.Kill(step, unix.SIGKILL)
			default: // one of the newest children
				if pids := proctest.Children(); len(pids) > len(before) {
					_ = unix.Kill(pids[len(pids)-1], unix.SIGKILL)
				}
			}
		})
		err := e.enter(ctx)
		result := "not entered"
		if err == nil {
			var out string
			var status syscall.WaitStatus
			out, status, err = e.proceed(ctx)
			result = fmt.Sprintf("%s signaled %v, %v", strings.TrimSpace(out), status.Signaled(), err)
		}
		results[result]++
		<-killed
		cancel()
		for _, pid := range proctest.Children() {
			if !slices.Contains(before, pid) {
				t.Fatalf("%d is left, state %c; %s, %v", pid, proctest.State(pid), result, err)
			}
		}
	}
	t.Log(results)
	if len(results) < places {
		t.Errorf("all were killed at the same place: %v", results)
	}
}

// TestSandboxUnprivileged runs the tests of sandboxes as a user without rights.
func TestSandboxUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: this process is not root")
	}
	c := exec.Command("/proc/self/exe", "-test.run=^(TestSandbox|TestNamespaces|TestSandboxFailures|TestKilledWhileEntering)$", "-test.v")
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS: TestNamespaces") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDescriptorsOfSandboxes checks that no start leaves a descriptor open.
func TestDescriptorsOfSandboxes(t *testing.T) {
	count := func() int {
		list, _ := filepath.Glob("/proc/self/fd/*")
		return len(list)
	}
	before := count()
	t.Run("starts", func(t *testing.T) {
		n := makeNamespaces(t)
		for range 3 {
			if _, status, err := n.run(t, "true", &Setup{}); status != 0 || err != nil {
				t.Errorf("%#x, %v", status, err)
			}
			e := newEntering(t, &n, "true", &Setup{})
			e.step.Close()
			leader.DiscardGroup(e.pid)
		}
	})
	if after := count(); after > before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}
