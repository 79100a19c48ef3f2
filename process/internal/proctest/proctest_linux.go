// Package proctest has what the tests of several packages need: contained trees without a host, and
// the states of processes.
package proctest

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/leader"
)

// Patience bounds every wait; none needs more than a fraction of it.
const Patience = 20 * time.Second

// Poll waits until ok returns true, for at most Patience.
func Poll(ok func() bool) bool {
	end := time.Now().Add(Patience)
	for pause := time.Millisecond; time.Now().Before(end); pause = min(pause*5/4, 50*time.Millisecond) { // some checks read all of /proc
		if ok() {
			return true
		}
		time.Sleep(pause)
	}
	return false
}

// Required reports whether RUNNEL_TEST_REQUIRE says that this machine has something (.ci/run).
func Required(what string) bool {
	return slices.Contains(strings.Split(os.Getenv("RUNNEL_TEST_REQUIRE"), ","), what)
}

// SkipUnlessRequired skips a test that needs what this machine does not have, or fails it if
// it is Required.
func SkipUnlessRequired(t testing.TB, what, why string) {
	t.Helper()
	if Required(what) {
		t.Fatalf("%s is required: %s", what, why)
	}
	t.Skip("SKIPPED: ", why)
}

// Descriptors lists the descriptors of this process as fd:target, except the one that lists them.
func Descriptors() (list []string) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			list = append(list, e.Name()+":"+target)
		}
	}
	return list
}

// State returns the state letter of /proc/PID/stat, 0 if there is no such process.
func State(pid int) byte {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	return line[strings.LastIndexByte(string(line), ')')+2]
}

// Alive reports whether a process has not ended.
func Alive(pid int) bool { return !slices.Contains([]byte{0, 'Z', 'X'}, State(pid)) }

// OnThread runs f on a thread of its own, which ends afterwards, so f may change the credentials and
// other attributes of its thread. f must not call t.FailNow.
func OnThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		if unix.Gettid() == unix.Getpid() {
			// The first thread of a process never ends, and /proc/PID/status is about it. Occupied by
			// this goroutine, it is not the one of the next.
			defer runtime.UnlockOSThread()
			OnThread(f)
			return
		}
		f()
	}()
	<-done
}

// Children lists the children of this process, including zombies.
func Children() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		line, _ := os.ReadFile("/proc/" + e.Name() + "/stat")
		fields := strings.Fields(string(line[strings.LastIndexByte(string(line), ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			pid, _ := strconv.Atoi(e.Name())
			pids = append(pids, pid)
		}
	}
	return pids
}

// FillDescriptors takes every descriptor that this process may have, until free is called.
func FillDescriptors(t testing.TB) (free func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 128, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	var taken []int
	for {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			break
		}
		taken = append(taken, fd)
	}
	return sync.OnceFunc(func() {
		for _, fd := range taken {
			_ = unix.Close(fd)
		}
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	})
}

// Tree is a tree that a provider contains.
type Tree struct {
	containment.Tree
	Leader *leader.Leader
	Stdin  *os.File

	t      testing.TB
	out    *os.File
	reader *bufio.Reader
	ended  bool
}

// Start starts a shell script. The tree is ended when the test ends.
func Start(t testing.TB, p containment.Provider, script string) *Tree {
	t.Helper()
	return StartProgram(t, p, "/bin/sh", "sh", "-c", script)
}

// StartProgram starts a program. The tree is ended when the test ends.
func StartProgram(t testing.TB, p containment.Provider, path string, argv ...string) *Tree {
	t.Helper()
	input, stdin := pipe(t)
	out, output := pipe(t)
	defer input.Close()
	defer output.Close()
	var pidfd int
	attr := &syscall.ProcAttr{
		Env:   []string{"PATH=/usr/local/bin:/usr/bin:/bin"},
		Files: []uintptr{input.Fd(), output.Fd(), 2},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	leader.RequestPidfd(attr.Sys, &pidfd)
	start, err := p.NewStart(attr, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	fork := func() (int, error) { return syscall.ForkExec(path, argv, attr) }
	pid, err := start.Fork(fork)
	if err != nil && start.RetryFresh(err) {
		start.Cancel(0)
		if start, err = p.NewStart(attr, nil, true); err == nil {
			pid, err = start.Fork(fork)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	l := leader.New(pid, pidfd, nil)
	tree := &Tree{Tree: start.Tree(l, false), Leader: l, Stdin: stdin, t: t, out: out, reader: bufio.NewReader(out)}
	t.Cleanup(func() {
		_ = tree.Signal(syscall.SIGKILL)
		tree.End()
	})
	return tree
}

func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// ReadLine returns the next line of the output.
func (tree *Tree) ReadLine() string {
	tree.t.Helper()
	_ = tree.out.SetReadDeadline(time.Now().Add(Patience))
	line, err := tree.reader.ReadString('\n')
	if err != nil {
		tree.t.Fatalf("after %q: %v", line, err)
	}
	return strings.TrimSuffix(line, "\n")
}

// ReadPID returns the process id in the next line of the output.
func (tree *Tree) ReadPID() int {
	tree.t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(tree.ReadLine()))
	if err != nil {
		tree.t.Fatal(err)
	}
	return pid
}

// Kill sends SIGKILL until the tree has no living processes, for at most Patience.
func (tree *Tree) Kill() bool {
	return Poll(func() bool {
		_ = tree.Signal(syscall.SIGKILL)
		alive, err := tree.Alive()
		return !alive && err == nil
	})
}

// End waits for the leader, kills the other members, reaps the leader and closes the tree. It may
// be called again.
func (tree *Tree) End() (leader.Exit, containment.Usage) {
	if tree.ended {
		return leader.Exit{}, containment.Usage{}
	}
	tree.ended = true
	_ = tree.Leader.Wait()
	if alive, err := tree.Alive(); (alive || err != nil) && !tree.Kill() {
		tree.t.Error("the tree does not end")
	}
	exit, err := tree.Leader.Reap()
	if err != nil {
		tree.t.Error(err)
	}
	usage := tree.Usage(exit.Signal == syscall.SIGKILL)
	tree.close()
	return exit, usage
}

// CloseUnreaped closes a tree whose leader has exited and was not reaped.
func (tree *Tree) CloseUnreaped() {
	tree.ended = true
	tree.close()
}

func (tree *Tree) close() {
	tree.Leader.CloseHandle()
	tree.Tree.Close()
	_, _ = tree.Stdin.Close(), tree.out.Close()
}
