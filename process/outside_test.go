//go:build linux

package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/cgroup"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

// compiled builds a C program of testdata and returns its path.
func compiled(t testing.TB, name string) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		skipUnlessRequired(t, "compiler", err)
	}
	path := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command(cc, "-O1", "-pthread", "-o", path, "testdata/"+name+".c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// leave returns a part of a shell script by which the shell leaves its tree: its cgroup, or the
// processes with the mark.
func leave(t testing.TB, h *Host) string {
	if h.kind == Cgroup {
		return "echo $$ >" + h.provider.(*cgroup.Provider).Delegation().Own + "/cgroup.procs; "
	}
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip(err)
	}
	return "ulimit -S -R 1000000; "
}

func bash(script string) Spec { return Spec{Argv: []string{"bash", "-c", script}, Env: testEnv} }

// TestLeaderOutsideItsTree checks that a leader that has left its tree is signaled, paused and
// killed, and counts as alive until its exit was observed.
func TestLeaderOutsideItsTree(t *testing.T) {
	eachHostWith(t, Options{OnlyParent: true}, func(t *testing.T, h *Host) { // orphans are reaped without a mark too
		p := startOn(t, h, bash(leave(t, h)+`trap '' TERM; trap 'echo got' USR1; echo ready; while :; do sleep 60 & wait; done`))
		_ = readLine(t, p.Stdout())
		if members, err := p.Members(); err != nil || !slices.Contains(members, p.PID()) {
			t.Errorf("Members() = %v, %v", members, err)
		}
		if err := p.Pause(); err != nil || !poll(allIn("T", []int{p.PID()})) {
			t.Errorf("Pause: %v, state %c", err, state(p.PID()))
		}
		if err := p.Resume(); err != nil || !poll(func() bool { return state(p.PID()) != 'T' }) {
			t.Errorf("Resume: %v, state %c", err, state(p.PID()))
		}
		if err := p.Signal(syscall.SIGUSR1); err != nil {
			t.Error(err)
		}
		if got := readLine(t, p.Stdout()); got != "got" {
			t.Errorf("%q", got)
		}
		if err := p.Terminate(); err != nil || !alive(p.PID()) {
			t.Errorf("Terminate: %v", err)
		}
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
		if err := p.WaitExit(); err != nil {
			t.Fatal(err)
		}
		if r := p.Sweep(context.Background(), 0); len(r.Survivors) > 0 || r.Unverified {
			t.Errorf("%+v", r)
		}
	})
}

// TestUnkillableLeaderOutsideItsCgroup checks that a leader outside of its cgroup that cannot be
// killed is a survivor.
func TestUnkillableLeaderOutsideItsCgroup(t *testing.T) {
	h := openHost(t, Cgroup)
	p := startOn(t, h, sh(leave(t, h)+`echo ready; exec sleep 600`))
	_ = readLine(t, p.Stdout())
	c := p.tree.(*cgroup.Tree)
	ignoring, sys := c.Kernel, c.Kernel
	ignoring.SignalOne = func(int, syscall.Signal) error { return nil }
	ignoring.SignalGroup, ignoring.Kill = ignoring.SignalOne, ignoring.SignalOne
	c.Kernel = ignoring
	r := p.Sweep(context.Background(), 0)
	c.Kernel = sys
	if !slices.Equal(r.Survivors, []int{p.PID()}) || !r.Escalated {
		t.Errorf("%+v", r)
	}
}

// TestForkingLeaderOutsideItsCgroup checks a process outside of its cgroup that forks and exits in
// a loop, which most scans miss. It is ended, or the result says that processes may be left.
func TestForkingLeaderOutsideItsCgroup(t *testing.T) {
	h := openHost(t, Cgroup)
	program := compiled(t, "forkloop")
	for range 10 {
		p := startOn(t, h, sh(leave(t, h)+"exec "+program))
		if err := p.WaitExit(); err != nil {
			t.Fatal(err)
		}
		r := p.Sweep(context.Background(), 0)
		orphans, certain, err := p.tree.(*cgroup.Tree).Orphans()
		mayBeAlive := err != nil || !certain || len(orphans) > 0
		if mayBeAlive && len(r.Survivors) == 0 && !r.Unverified {
			t.Errorf("%+v, but the orphans %v are alive, %v", r, orphans, err)
		}
		if !r.Escalated {
			t.Errorf("%+v", r)
		}
	}
}

// TestDescendantOutsideItsCgroup checks that descendants that have left the cgroup of their tree
// are found by its mark.
func TestDescendantOutsideItsCgroup(t *testing.T) {
	h := openHost(t, Cgroup)
	const ignoring = `trap '' TERM; trap 'echo got >&2' USR1; echo $$; while :; do sleep 60 & wait; done`
	start := func(t *testing.T, then string) (*Process, int) {
		p := startOn(t, h, sh(`setsid sh -c "`+strings.ReplaceAll(leave(t, h)+ignoring, "$", `\$`)+`" & `+then))
		return p, readPID(t, p.Stdout())
	}
	t.Run("while the leader runs", func(t *testing.T) {
		p, pid := start(t, "trap : USR1; while :; do wait; done")
		if err := p.Pause(); err != nil || state(pid) != 'T' {
			t.Errorf("Pause: %v, state %c", err, state(pid))
		}
		if err := p.Resume(); err != nil || !poll(func() bool { return state(pid) != 'T' }) {
			t.Errorf("Resume: %v, state %c", err, state(pid))
		}
		if err := p.Signal(syscall.SIGUSR1); err != nil {
			t.Error(err)
		}
		for readLine(t, p.Stderr()) != "got" { // the shells report what they have started
		}
		if members, err := p.Members(); err != nil || !slices.Contains(members, pid) {
			t.Errorf("Members() = %v, %v", members, err)
		}
	})
	t.Run("after the exit of the leader", func(t *testing.T) {
		p, pid := start(t, "exit 3")
		_ = p.WaitExit()
		if members, err := p.Members(); err != nil || !slices.Contains(members, pid) {
			t.Errorf("Members() = %v, %v", members, err)
		}
		r := p.Sweep(context.Background(), 50*time.Millisecond)
		if !r.Found || !r.Escalated || r.Unverified || len(r.Survivors) > 0 || alive(pid) {
			t.Errorf("Sweep: %+v, alive: %v", r, alive(pid))
		}
	})
}

// TestResumeKeepsStoppedProcesses checks that Resume does not continue a process that was stopped
// before Pause.
func TestResumeKeepsStoppedProcesses(t *testing.T) {
	h := openHost(t, Cgroup)
	p := startOn(t, h, sh(leave(t, h)+`sleep 600 & echo $!; wait`))
	pid := readPID(t, p.Stdout())
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	if !poll(allIn("T", []int{pid})) {
		t.Fatal("the process does not stop")
	}
	if err := errors.Join(p.Pause(), p.Resume()); err != nil {
		t.Fatal(err)
	}
	if !poll(func() bool { return state(p.PID()) != 'T' }) || state(pid) != 'T' {
		t.Errorf("the leader has state %c, the other process %c", state(p.PID()), state(pid))
	}
}

// TestProcessWhoseFirstThreadHasEnded checks that a process whose first thread has ended is killed,
// although cgroup.kill does not reach it.
func TestProcessWhoseFirstThreadHasEnded(t *testing.T) {
	program := compiled(t, "deadmain")
	eachHost(t, func(t *testing.T, h *Host) {
		for name, spec := range map[string]Spec{
			"leader":     {Argv: []string{program}, Env: testEnv},
			"descendant": sh(program + " & exit"),
		} {
			t.Run(name, func(t *testing.T) {
				p := startOn(t, h, spec)
				pid := readPID(t, p.Stdout())
				if !poll(func() bool { return state(pid) == 'Z' }) {
					t.Fatal("the first thread does not end")
				}
				if members, err := p.Members(); err != nil || !slices.Contains(members, pid) {
					t.Errorf("Members() = %v, %v", members, err)
				}
				if name == "leader" {
					if err := p.Kill(); err != nil {
						t.Error(err)
					}
				}
				if err := p.WaitExit(); err != nil {
					t.Fatal(err)
				}
				r := p.Sweep(context.Background(), 0)
				if len(r.Survivors) > 0 || r.Unverified {
					t.Errorf("%+v", r)
				}
				if _, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/task"); err == nil && threads(pid) > 1 {
					t.Error("the process is alive")
				}
			})
		}
	})
}

func threads(pid int) int {
	st, _ := procfs.ReadStat(pid)
	return st.Threads
}
