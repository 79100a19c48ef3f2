//go:build linux

package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/cgroup"
	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/mark"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

// skipUnlessRequired skips a test that needs a containment, a mechanism for a limit, a controller or
// a compiler, or fails it if RUNNEL_TEST_REQUIRE says that the machine has it (.ci/run).
func skipUnlessRequired[T ~string](t testing.TB, what T, reason any) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("RUNNEL_TEST_REQUIRE"), ","), string(what)) {
		t.Fatalf("%s is required: %v", what, reason)
	}
	t.Skip("SKIPPED: ", reason)
}

// openHost opens a host, closes it when the test is over, and checks that it leaves nothing behind.
func openHost(t testing.TB, kind Containment) *Host {
	t.Helper()
	return openHostWith(t, Options{Containment: kind})
}

func openHostWith(t testing.TB, o Options) *Host {
	t.Helper()
	o.StateDir = t.TempDir()
	h, err := Open(o)
	if err != nil {
		skipUnlessRequired(t, o.Containment, err)
	}
	groups := h.identity.Record.Cgroups
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		left, _ := os.ReadDir(o.StateDir)
		for _, group := range groups {
			if _, err := os.Stat(group); err == nil {
				t.Errorf("%s is left", group)
			}
		}
		if len(left) > 0 {
			t.Errorf("%v is left", left)
		}
	})
	return h
}

// eachHost runs f under each containment that is stronger than Group.
func eachHost(t *testing.T, f func(t *testing.T, h *Host)) { eachHostWith(t, Options{}, f) }

func eachHostWith(t *testing.T, o Options, f func(t *testing.T, h *Host)) {
	for _, o.Containment = range []Containment{Cgroup, Marker} {
		t.Run(string(o.Containment), func(t *testing.T) { f(t, openHostWith(t, o)) })
	}
}

func startOn(t testing.TB, h *Host, spec Spec) *Process {
	t.Helper()
	p, err := h.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { finish(p) })
	return p
}

// runaway builds the program that tries to leave its tree, once.
var runaway = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("RUNNEL_TEST_RUNAWAY"); path != "" { // built before, for a user without a Go installation
		return path, nil
	}
	dir, err := os.MkdirTemp("", "runaway")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // other users execute it, too
		return "", err
	}
	path := filepath.Join(dir, "runaway")
	out, err := exec.Command("go", "build", "-o", path, "./testdata/runaway").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

var tags atomic.Int64

// runawaySpec returns a command that tries to leave its tree in some ways, and a tag in the
// arguments of all its processes.
func runawaySpec(t testing.TB, ways ...string) (Spec, string) {
	t.Helper()
	path, err := runaway()
	if err != nil {
		t.Fatal(err)
	}
	tag := fmt.Sprintf("tag.%d.%d", os.Getpid(), tags.Add(1))
	return Spec{Argv: []string{path, tag, strings.Join(ways, ",")}, Env: testEnv}, tag
}

// tagged lists the processes that have a tag in their arguments and have not ended.
func tagged(tag string) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		args, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if slices.ContainsFunc(bytes.Split(args, []byte{0}), func(arg []byte) bool { return string(arg) == tag }) && alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// bystander starts a process that must not be killed, and checks that when the test is over.
func bystander(t testing.TB) {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !alive(cmd.Process.Pid) {
			t.Error("a process outside of the tree was killed")
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// combinations returns all combinations of ways to leave a tree.
func combinations() (all [][]string) {
	ways := []string{"double", "setsid", "setpgid", "close", "ignore", "clearenv", "loop", "stay"}
	for bits := range 1 << len(ways) {
		combination := []string{"fork"}
		for i, way := range ways {
			if bits>>i&1 == 1 {
				combination = append(combination, way)
			}
		}
		all = append(all, combination)
	}
	return all
}

func TestRunawayProcessesAreEnded(t *testing.T) {
	eachHost(t, func(t *testing.T, h *Host) {
		bystander(t)
		all := combinations()
		all = all[len(all)-rounds(len(all)/4, len(all)):] // those with "stay" and "loop"
		var next atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for i := next.Add(1) - 1; int(i) < len(all); i = next.Add(1) - 1 {
					checkEnd(t, h, all[i], i%2 == 0)
				}
			})
		}
		wg.Wait()
	})
}

func checkEnd(t *testing.T, h *Host, ways []string, terminate bool) {
	spec, tag := runawaySpec(t, ways...)
	p, err := h.Start(spec)
	if err != nil {
		t.Error(err)
		return
	}
	defer finish(p)
	buf := make([]byte, 100)
	if _, err := readReady(p.Stdout(), func() []byte { return buf }); err != nil {
		t.Error(ways, err)
	}
	grace := time.Duration(0)
	if terminate {
		grace = 20 * time.Millisecond
	}
	if slices.Contains(ways, "stay") {
		if terminate {
			_ = p.Terminate()
			if slices.Contains(ways, "ignore") {
				time.AfterFunc(grace, func() { _ = p.Kill() })
			}
		} else {
			_ = p.Kill()
		}
	}
	_ = p.WaitExit()
	r := p.Sweep(context.Background(), grace)
	if left := tagged(tag); len(left) > 0 || len(r.Survivors) > 0 {
		t.Errorf("%v, terminated %v: %v are alive, %+v", ways, terminate, left, r)
	}
	if exit, err := p.Reap(); err != nil || !exit.Known {
		t.Errorf("%v: %+v, %v", ways, exit, err)
	}
}

// TestProcessThatChangesItsMarkLeavesTheTree checks that a process that changes its mark is no
// longer a member of the tree.
func TestProcessThatChangesItsMarkLeavesTheTree(t *testing.T) {
	h := openHost(t, Marker)
	p := startOn(t, h, Spec{Argv: []string{"bash", "-c", "setsid bash -c 'ulimit -S -R 1000000; echo $$; exec sleep 60' & wait"}, Env: testEnv})
	pid := readPID(t, p.Stdout())
	_ = p.Kill()
	_ = p.WaitExit()
	if r := p.Sweep(context.Background(), 0); len(r.Survivors) > 0 || !alive(pid) {
		t.Errorf("Sweep: %+v, alive: %v", r, alive(pid))
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	if got, err := syscall.Wait4(pid, nil, 0, nil); got != pid { // it was reparented to this process
		t.Error(got, err)
	}
}

// TestMarkerFindsChildOfUnmarkedParent checks that a process with the mark is found although its
// parent has changed its own mark.
func TestMarkerFindsChildOfUnmarkedParent(t *testing.T) {
	h := openHost(t, Marker)
	p := startOn(t, h, Spec{Argv: []string{"bash", "-c", "setsid bash -c 'sleep 60 & echo $!; ulimit -S -R 1000000; echo $$; exec sleep 60' & read"}, Env: testEnv, Stdin: true})
	marked, unmarked := readPID(t, p.Stdout()), readPID(t, p.Stdout())
	_ = p.Stdin().Close() // the leader exits before any scan
	_ = p.WaitExit()
	if r := p.Sweep(context.Background(), 0); len(r.Survivors) > 0 || !r.Found || alive(marked) {
		t.Errorf("Sweep: %+v, alive: %v", r, alive(marked))
	}
	_ = syscall.Kill(unmarked, syscall.SIGKILL)
	if got, err := syscall.Wait4(unmarked, nil, 0, nil); got != unmarked { // it was reparented to this process
		t.Error(got, err)
	}
}

const loopingTree = `setsid sh -c 'echo $$; exec sh -c "while :; do :; done"' &
sh -c 'echo $$; kill -STOP $$; echo woke; exec sleep 60' &
echo $$; while :; do :; done`

// TestPauseReachesAllMembers checks that Pause stops processes that left the group, and Resume
// continues only those that Pause stopped.
func TestPauseReachesAllMembers(t *testing.T) {
	eachHost(t, func(t *testing.T, h *Host) {
		t.Parallel()
		p := startOn(t, h, sh(loopingTree))
		var busy []int
		stopped := 0
		for range 3 {
			pid := readPID(t, p.Stdout())
			if poll(func() bool { return state(pid) == 'R' || state(pid) == 'T' }); state(pid) == 'T' {
				stopped = pid
			}
			busy = append(busy, pid)
		}
		if !poll(func() bool {
			for _, pid := range busy {
				if state(pid) == 'T' {
					stopped = pid
				}
			}
			return stopped != 0
		}) {
			t.Fatal("no process has stopped itself")
		}
		busy = slices.DeleteFunc(busy, func(pid int) bool { return pid == stopped })
		for range 20 {
			for range 2 { // twice is no error
				if err := p.Pause(); err != nil {
					t.Fatal(err)
				}
			}
			if !poll(func() bool { return standStill(busy) }) {
				t.Fatal("a process runs after Pause")
			}
			if err := p.Resume(); err != nil {
				t.Fatal(err)
			}
			if !poll(func() bool { return allRun(busy) }) {
				t.Fatal("a process does not run after Resume")
			}
			if state(stopped) != 'T' {
				t.Fatal("Resume has continued a process that stopped itself")
			}
		}
	})
}

// clockTick is the longest resolution of processor times (time(7)).
const clockTick = 10 * time.Millisecond

// standStill reports whether no process uses processor time during three ticks.
func standStill(pids []int) bool {
	before := times(pids)
	time.Sleep(3 * clockTick)
	return slices.Equal(times(pids), before)
}

// allRun reports whether each process uses processor time, within patience.
func allRun(pids []int) bool {
	before := times(pids)
	return poll(func() bool {
		for i, now := range times(pids) {
			if now == before[i] {
				return false
			}
		}
		return true
	})
}

func times(pids []int) (all []time.Duration) {
	for _, pid := range pids {
		all = append(all, leader.OwnTime(pid))
	}
	return all
}

func TestSignalReachesProcessOutsideTheGroup(t *testing.T) {
	eachHost(t, func(t *testing.T, h *Host) {
		p := startOn(t, h, sh(`setsid sh -c 'trap "echo got it; exit" USR1; echo ready; while :; do sleep 0.01; done' & trap : USR1; wait; wait`))
		if got := readLine(t, p.Stdout()); got != "ready" {
			t.Fatal(got)
		}
		if err := p.Signal(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		if got := readLine(t, p.Stdout()); got != "got it" {
			t.Error(got)
		}
	})
}

func TestPausedTreeCanBeEnded(t *testing.T) {
	eachHost(t, func(t *testing.T, h *Host) {
		for _, kill := range []bool{true, false} {
			spec, tag := runawaySpec(t, "fork", "double", "setsid", "stay")
			p := startOn(t, h, spec)
			if !poll(func() bool { return len(tagged(tag)) == 2 }) {
				t.Fatal(tagged(tag))
			}
			if err := p.Pause(); err != nil {
				t.Fatal(err)
			}
			if kill {
				_ = p.Kill()
			} else {
				_ = p.Terminate()
			}
			_ = p.WaitExit()
			r := p.Sweep(context.Background(), patience)
			if len(tagged(tag)) > 0 || len(r.Survivors) > 0 || r.Escalated {
				t.Errorf("kill %v: %+v, alive %v", kill, r, tagged(tag))
			}
		}
	})
}

// TestTerminalTreeIsContained checks that processes that leave the kernel session of a terminal are
// members of the tree.
func TestTerminalTreeIsContained(t *testing.T) {
	eachHost(t, func(t *testing.T, h *Host) {
		spec, tag := runawaySpec(t, "fork", "setsid", "double", "ignore", "stay")
		script := strings.Join(spec.Argv, " ") + " & sleep 60 & echo ready; wait"
		p := startOn(t, h, onTerminal(Spec{Argv: []string{"bash", "-mc", script}, Env: testEnv}))
		if !poll(func() bool { return len(tagged(tag)) == 2 }) {
			t.Fatal(tagged(tag))
		}
		if p.Containment() != h.Containment() {
			t.Error(p.Containment())
		}
		_ = p.Terminate()
		_ = p.WaitExit()
		if r := p.Sweep(context.Background(), 10*time.Millisecond); len(tagged(tag)) > 0 || !r.Escalated {
			t.Errorf("%+v, alive %v", r, tagged(tag))
		}
	})
}

func TestOrphansAreReaped(t *testing.T) {
	eachHost(t, func(t *testing.T, h *Host) {
		p := startOn(t, h, sh(`for i in 1 2 3 4 5; do (setsid sleep 0.01 &); done; echo $$; exec sleep 60`))
		_ = readPID(t, p.Stdout())
		if !poll(func() bool { return len(children()) == 1 }) {
			t.Errorf("children: %v, the leader is %d", children(), p.PID())
		}
		finish(p)
		if !poll(func() bool { return len(children()) == 0 }) {
			t.Errorf("children: %v", children())
		}
	})
}

// TestSiblingsOfTheLeader checks that a process that the leader makes its sibling (CLONE_PARENT) is
// contained and reaped.
func TestSiblingsOfTheLeader(t *testing.T) {
	eachHost(t, func(t *testing.T, h *Host) {
		for range 20 {
			checkEnd(t, h, []string{"fork", "sibling", "setsid", "close"}, false)
		}
		if !poll(func() bool { return len(children()) == 0 }) {
			t.Errorf("children: %v", children())
		}
	})
}

func TestConcurrentTreesLeaveNoProcess(t *testing.T) {
	trees := int64(rounds(250, 1000))
	eachHost(t, func(t *testing.T, h *Host) {
		before := len(descriptors())
		var wg sync.WaitGroup
		var next atomic.Int64
		for range 8 {
			wg.Go(func() {
				for next.Add(1) <= trees {
					p, err := h.Start(sh(`(setsid sleep 60 &) ; exec sleep 60`))
					if err != nil {
						t.Error(err)
						return
					}
					_ = p.Kill()
					finish(p)
				}
			})
		}
		wg.Wait()
		if !poll(func() bool { return len(children()) == 0 }) {
			t.Errorf("children: %v", children())
		}
		if h.kind == Cgroup {
			leaves, _ := filepath.Glob(h.identity.Record.Cgroups[0] + "/[0-9]*")
			if len(leaves) > cgroup.MaxSpare {
				t.Errorf("%d leaves", len(leaves))
			}
			before += 3 * len(leaves)
		}
		before += procfs.MaxChildLists
		if !poll(func() bool { return len(descriptors()) <= before }) { // what was executed is kept open for a moment
			t.Errorf("descriptors: %d, then %v", before, descriptors())
		}
	})
}

// TestTimesOfTheTree checks that under Cgroup the times are those of all processes of the tree, and
// not of earlier trees in the same leaf.
func TestTimesOfTheTree(t *testing.T) {
	h := openHost(t, Cgroup)
	file := filepath.Join(t.TempDir(), "go")
	p := startOn(t, h, sh(`sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done' & while ! test -e `+file+`; do sleep 0.01; done; exec true`))
	if got := readLine(t, p.Stdout()); got != "done" {
		t.Fatal(got)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = p.WaitExit()
	p.Sweep(context.Background(), 0)
	exit, _ := p.Reap()
	if exit.UserTime+exit.SystemTime < 20*time.Millisecond {
		t.Errorf("%+v", exit)
	}
	p.Close()
	q := startOn(t, h, Spec{Argv: []string{"true"}, Env: testEnv})
	_ = q.WaitExit()
	q.Sweep(context.Background(), 0)
	if next, _ := q.Reap(); next.UserTime+next.SystemTime > (exit.UserTime+exit.SystemTime)/2 {
		t.Errorf("the next tree: %+v", next)
	}
}

// TestSurvivorsAreListed checks that a process that cannot be killed is listed.
func TestSurvivorsAreListed(t *testing.T) {
	own, _ := cgroup.OwnHierarchies()
	freezer := own.V1["freezer"]
	if freezer == "" || unix.Access(freezer, unix.W_OK) != nil {
		t.Skip("no freezer of version 1, so no process can be made unkillable")
	}
	eachHost(t, func(t *testing.T, h *Host) {
		t.Parallel()
		freezer := filepath.Join(freezer, "runnel-test-"+string(h.kind)+"."+strconv.Itoa(os.Getpid()))
		if err := os.Mkdir(freezer, 0o755); err != nil {
			t.Fatal(err)
		}
		defer func() { poll(func() bool { return os.Remove(freezer) == nil }) }()
		p := startOn(t, h, sh(`setsid sh -c 'echo $$; exec sleep 60' & exec sleep 60`))
		pid := readPID(t, p.Stdout())
		if err := errors.Join(fdreserve.WriteFile(freezer+"/cgroup.procs", strconv.Itoa(pid)), fdreserve.WriteFile(freezer+"/freezer.state", "FROZEN")); err != nil {
			t.Fatal(err)
		}
		thaw := func() { _ = fdreserve.WriteFile(freezer+"/freezer.state", "THAWED") }
		defer thaw()
		_ = p.Kill()
		_ = p.WaitExit()
		if r := p.Sweep(context.Background(), 0); !slices.Equal(r.Survivors, []int{pid}) || !r.Escalated {
			t.Errorf("%+v, want %d", r, pid)
		}
		_, _ = p.Reap()
		p.Close()
		thaw()
		if !poll(func() bool { return state(pid) == 0 }) {
			t.Error("the thawed process is not reaped")
		}
	})
}

func TestUnavailable(t *testing.T) {
	for _, kind := range []Containment{"chroot", Cgroup} {
		o := Options{Containment: kind}
		h, err := Open(o)
		if err == nil {
			_ = h.Close()
			if kind == Cgroup {
				continue
			}
		}
		var unavailable *UnavailableError
		if !errors.As(err, &unavailable) || unavailable.Containment != kind {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestMarkOfAnotherServerIsKept checks that a server that is a member of another server's tree
// keeps the mark of that server.
func TestMarkOfAnotherServerIsKept(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_RTTIME, nil, &old); err != nil {
		t.Skip(err)
	}
	if err := unix.Prlimit(0, unix.RLIMIT_RTTIME, &unix.Rlimit{Cur: mark.Of(7, 7), Max: old.Max}, nil); err != nil {
		t.Skip(err)
	}
	defer unix.Prlimit(0, unix.RLIMIT_RTTIME, &old, nil)
	if h, err := Open(Options{Containment: Marker}); !errors.Is(err, mark.ErrMarked) {
		_ = h.Close()
		t.Fatal(err)
	}
	h, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	p := startOn(t, h, sh("echo $$; exec sleep 60"))
	if m, err := mark.Read(readPID(t, p.Stdout())); m != mark.Of(7, 7) || err != nil {
		t.Errorf("%x, %v", m, err)
	}
}
