//go:build linux

package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/memberwise"
	"github.com/runnel-rpc/runnel/process/internal/pgroup"
	"golang.org/x/sys/unix"
)

// family is a shell with a child and a grandchild. It prints their process ids.
const family = `sh -c 'sleep 60 & echo $!; wait' & echo $!; wait`

func startFamily(t *testing.T, sys leader.Kernel) (*Process, []int) {
	p := mustStart(t, sh(family), sys)
	return p, []int{p.PID(), readPID(t, p.Stdout()), readPID(t, p.Stdout())}
}

func allIn(states string, pids []int) func() bool {
	return func() bool {
		return !slices.ContainsFunc(pids, func(pid int) bool {
			return !slices.Contains([]byte(states), state(pid))
		})
	}
}

func TestPauseAndResume(t *testing.T) {
	eachKernel(t, func(t *testing.T, sys leader.Kernel) {
		p, pids := startFamily(t, sys)
		for range 2 { // twice is no error
			if err := p.Pause(); err != nil {
				t.Fatal(err)
			}
		}
		if !poll(allIn("T", pids)) {
			t.Fatal("a process is not stopped after Pause")
		}
		if err := p.Resume(); err != nil {
			t.Fatal(err)
		}
		if !poll(allIn("SR", pids)) {
			t.Fatal("a process is stopped after Resume")
		}
		if members, err := p.Members(); err != nil || len(members) != 3 || !slices.Contains(members, pids[2]) {
			t.Errorf("Members() = %v, %v; want %v", members, err, pids)
		}
	})
}

func TestTerminateEndsAPausedTree(t *testing.T) {
	eachKernel(t, func(t *testing.T, sys leader.Kernel) {
		p, pids := startFamily(t, sys)
		_ = p.Pause()
		if !poll(allIn("T", pids)) {
			t.Fatal("a process is not stopped after Pause")
		}
		if err := p.Terminate(); err != nil {
			t.Fatal(err)
		}
		if !poll(func() bool { return !slices.ContainsFunc(pids, alive) }) {
			t.Fatal("a process is alive after Terminate")
		}
		_ = p.WaitExit()
		if exit, _ := p.Reap(); exit.Signal != syscall.SIGTERM {
			t.Errorf("got %+v", exit)
		}
	})
}

func TestSweepOfEmptyTree(t *testing.T) {
	eachKernel(t, func(t *testing.T, sys leader.Kernel) {
		p := mustStart(t, sh("exit 7"), sys)
		_ = p.WaitExit()
		begin := time.Now()
		if r := p.Sweep(context.Background(), patience); r.Found || r.Escalated || r.Survivors != nil {
			t.Errorf("got %+v", r)
		}
		if took := time.Since(begin); took > patience/2 {
			t.Errorf("took %v", took)
		}
		if exit, err := p.Reap(); err != nil || exit.Code != 7 {
			t.Errorf("exit after the sweep: %+v, %v", exit, err)
		}
	})
}

func TestSweepEndsRemainingProcesses(t *testing.T) {
	const ready = `echo $$; while :; do sleep 60 & wait; done`
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, c := range map[string]struct {
		script    string // of the descendant; prints its pid first
		ctx       context.Context
		grace     time.Duration
		escalated bool
	}{
		"closed its stdout":   {`echo $$; exec sleep 60 >/dev/null 2>&1`, context.Background(), patience, false},
		"keeps its stdout":    {`echo $$; exec sleep 60`, context.Background(), patience, false},
		"paused":              {`echo $$; exec sleep 61`, context.Background(), patience, false},
		"ignores TERM":        {`trap "" TERM; ` + ready, context.Background(), 50 * time.Millisecond, true},
		"no grace":            {ready, context.Background(), 0, true},
		"canceled":            {`trap "" TERM; ` + ready, ctx, patience, true},
		"ignores TERM, HUP":   {`trap "" TERM HUP INT; ` + ready, context.Background(), 50 * time.Millisecond, true},
		"handles TERM slowly": {`trap "sleep 0.2; exit" TERM; echo $$; while :; do :; done`, context.Background(), patience, false},
	} {
		t.Run(name, func(t *testing.T) {
			eachKernel(t, func(t *testing.T, sys leader.Kernel) {
				p := mustStart(t, sh("("+`exec sh -c '`+c.script+`'`+") & exit 5"), sys)
				pid := readPID(t, p.Stdout())
				if err := p.WaitExit(); err != nil {
					t.Fatal(err)
				}
				if name == "paused" {
					_ = p.Pause()
					_ = poll(allIn("T", []int{pid}))
				}
				begin := time.Now()
				r := p.Sweep(c.ctx, c.grace)
				if !r.Found || r.Escalated != c.escalated || len(r.Survivors) > 0 {
					t.Errorf("got %+v", r)
				}
				if alive(pid) || time.Since(begin) > patience/2 {
					t.Errorf("alive %v after %v", alive(pid), time.Since(begin))
				}
				if exit, err := p.Reap(); err != nil || exit.Code != 5 {
					t.Errorf("exit: %+v, %v", exit, err)
				}
			})
		})
	}
}

// TestSweepDoesNotRepeatTheStopSignal checks that after Terminate, Sweep waits for the grace period
// and does not send the stop signal again.
func TestSweepDoesNotRepeatTheStopSignal(t *testing.T) {
	eachKernel(t, func(t *testing.T, sys leader.Kernel) {
		const script = `count() { n=x$n; echo $n; }; trap count TERM; echo $$; while [ "$n" != xx ]; do :; done`
		p := mustStart(t, Spec{Argv: []string{"sh", "-c", "(exec sh -c '" + script + "') & trap : TERM; wait; exit 5"}, Env: testEnv}, sys)
		_ = readPID(t, p.Stdout())
		_ = p.Terminate()
		if got := readLine(t, p.Stdout()); got != "x" {
			t.Fatalf("got %q", got)
		}
		_ = p.WaitExit()
		if r := p.Sweep(context.Background(), 100*time.Millisecond); !r.Found || !r.Escalated {
			t.Errorf("got %+v", r)
		}
		if out, err := readAll(p.Stdout()); out != "" || err != nil {
			t.Errorf("the stop signal was sent again: %q, %v", out, err)
		}
	})
}

// TestSweepIgnoresZombies checks that Sweep ignores an orphan that its new parent does not reap and
// that remains in the group as a zombie.
func TestSweepIgnoresZombies(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Skip(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	eachKernel(t, func(t *testing.T, sys leader.Kernel) {
		p := mustStart(t, sh(`sh -c 'echo $$; read line' <&0 & exit 0`), sys)
		pid := readPID(t, p.Stdout())
		if !poll(func() bool { return state(pid) == 'Z' }) {
			t.Fatal("no zombie")
		}
		defer syscall.Wait4(pid, nil, 0, nil)
		_ = p.WaitExit()
		if r := p.Sweep(context.Background(), patience); r.Found {
			t.Errorf("got %+v", r)
		}
	})
}

// TestSweepReturnsForUnkillableLeader checks that a leader that does not exit, such as one that
// hangs in the kernel, is a survivor.
func TestSweepReturnsForUnkillableLeader(t *testing.T) {
	runParallel(t)
	eachKernel(t, func(t *testing.T, sys leader.Kernel) {
		t.Parallel()
		p := mustStart(t, sh("exec sleep 60"), sys)
		ignoring := sys
		ignoring.Kill = func(int, syscall.Signal) error { return nil }
		ignoring.SignalOne = func(int, syscall.Signal) error { return nil }
		if ignoring.SignalGroup != nil {
			ignoring.SignalGroup = func(int, syscall.Signal) error { return nil }
		}
		p.tree.(*pgroup.Tree).Kernel = ignoring
		begin := time.Now()
		r := p.Sweep(context.Background(), time.Millisecond)
		p.tree.(*pgroup.Tree).Kernel = sys
		if !r.Found || !r.Escalated || !slices.Equal(r.Survivors, []int{p.PID()}) {
			t.Errorf("got %+v", r)
		}
		if took := time.Since(begin); took > 2*memberwise.KillWait {
			t.Errorf("took %v", took)
		}
	})
}

// TestSweepWithoutProcessTable checks that Sweep sends SIGKILL if the members cannot be listed, and
// returns that it is unknown whether any are left, unless signal 0 shows that the group is empty.
func TestSweepWithoutProcessTable(t *testing.T) {
	runParallel(t)
	eachKernel(t, func(t *testing.T, sys leader.Kernel) {
		t.Parallel()
		sys.Members = func(int) ([]int, error) { return nil, syscall.EMFILE }
		var empty atomic.Bool // by the newest signal 0; a zombie that init has not reaped is in the group
		if signal := sys.SignalGroup; signal != nil {
			sys.SignalGroup = func(pidfd int, sig syscall.Signal) error {
				err := signal(pidfd, sig)
				if sig == 0 {
					empty.Store(err == syscall.ESRCH)
				}
				return err
			}
		}
		p := mustStart(t, sh(`(trap "" TERM; sh -c 'echo $PPID'; while :; do sleep 60; done) & exit`), sys)
		pid := readPID(t, p.Stdout())
		_ = p.WaitExit()
		r := p.Sweep(context.Background(), 50*time.Millisecond)
		if !r.Found || !r.Escalated || r.Unverified == empty.Load() {
			t.Errorf("got %+v", r)
		}
		if !poll(func() bool { return !alive(pid) }) {
			t.Error("the process is alive")
		}
	})
}

func TestWaitExitDoesNotReap(t *testing.T) {
	eachKernel(t, func(t *testing.T, sys leader.Kernel) {
		p := mustStart(t, Spec{Argv: []string{"/bin/true"}}, sys)
		if err := p.WaitExit(); err != nil {
			t.Fatal(err)
		}
		if state(p.PID()) != 'Z' || p.Signal(0) != nil {
			t.Errorf("state %q, signal %v", state(p.PID()), p.Signal(0))
		}
		_, _ = p.Reap()
		if state(p.PID()) != 0 {
			t.Error("not reaped")
		}
	})
}

func TestReapNeverBlocks(t *testing.T) {
	p := mustStart(t, sh("exec sleep 60"), leader.System())
	if _, err := p.Reap(); err != ErrRunning {
		t.Errorf("got %v", err)
	}
	_ = p.Kill()
	_ = p.WaitExit()
	first, err1 := p.Reap()
	second, err2 := p.Reap()
	if first != second || err1 != nil || err2 != nil || first.Signal != syscall.SIGKILL {
		t.Errorf("got %+v, %v and %+v, %v", first, err1, second, err2)
	}
}

func TestAbandonEndsWaitExitOnly(t *testing.T) {
	p := mustStart(t, sh("exec sleep 60"), leader.System())
	if !p.leader.HasHandle() {
		t.Skip("no pidfd")
	}
	done := make(chan error)
	go func() { done <- p.WaitExit() }()
	p.Abandon()
	if err := <-done; err != os.ErrClosed {
		t.Errorf("got %v", err)
	}
	if err := p.Kill(); err != nil {
		t.Errorf("kill: %v", err)
	}
	if !poll(func() bool { _, err := p.Reap(); return err == nil }) {
		t.Error("not reaped")
	}
}

func TestMethodsAfterReap(t *testing.T) {
	eachKernel(t, func(t *testing.T, sys leader.Kernel) {
		p := mustStart(t, sh("sleep 60 & echo $!"), sys)
		other := readPID(t, p.Stdout())
		defer syscall.Kill(other, syscall.SIGKILL)
		_ = p.WaitExit()
		_, _ = p.Reap()
		for name, f := range map[string]func() error{
			"Signal": func() error { return p.Signal(syscall.SIGINT) }, "Pause": p.Pause, "Resume": p.Resume,
			"Terminate": p.Terminate, "Kill": p.Kill,
			"Living": func() error { _, err := p.Members(); return err },
		} {
			if err := f(); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("%s: %v", name, err)
			}
		}
		p.Close()
		p.Close()
		if err := p.Kill(); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("Kill after Close: %v", err)
		}
	})
}

func TestCloseClosesDescriptors(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would close them too, some time
	before := len(descriptors())
	for range 3 {
		spec := sh("exit")
		spec.Stdin = true
		finish(mustStart(t, spec, leader.System()))
	}
	if after := descriptors(); len(after) > before {
		t.Errorf("%d → %v", before, after)
	}
}

func TestCloseInterruptsWaitExit(t *testing.T) {
	p := mustStart(t, sh("exec sleep 60"), leader.System())
	if !p.leader.HasHandle() {
		t.Skip("no pidfd")
	}
	done := make(chan error)
	go func() { done <- p.WaitExit() }()
	p.Close()
	if err := <-done; err != os.ErrClosed {
		t.Errorf("got %v", err)
	}
	if err := p.Kill(); err != nil {
		t.Errorf("kill after close: %v", err)
	}
	if !poll(func() bool { _, err := p.Reap(); return err == nil }) {
		t.Error("not reaped after close")
	}
}

// TestNoSignalByNumberAfterReap checks that every signal by number is to the group of an unreaped
// leader, and that later signals are by its pidfd, since the number of a leader can be reused after
// its reap.
func TestNoSignalByNumberAfterReap(t *testing.T) {
	eachKernel(t, func(t *testing.T, sys leader.Kernel) {
		var sent, byNumber, forbidden atomic.Int64
		watched, leader := sys, new(atomic.Int64)
		watched.Kill = func(pid int, sig syscall.Signal) error {
			byNumber.Add(1)
			if pid >= -1 || -pid != int(leader.Load()) || state(-pid) == 0 {
				forbidden.Add(1)
				return nil
			}
			return sys.Kill(pid, sig)
		}
		for range 20 {
			p := mustStart(t, sh("sleep 60 & exit"), watched)
			leader.Store(int64(p.PID()))
			_ = p.WaitExit()
			var wg sync.WaitGroup
			begin := make(chan struct{})
			for range 8 {
				wg.Go(func() {
					<-begin
					for p.Signal(syscall.SIGURG) == nil {
						sent.Add(1)
					}
				})
			}
			close(begin)
			p.Sweep(context.Background(), 0)
			_, _ = p.Reap()
			wg.Wait()
			_ = p.Kill()
		}
		if forbidden.Load() > 0 {
			t.Errorf("%d of %d signals by number were not to the group of an unreaped leader", forbidden.Load(), byNumber.Load())
		}
		if sys.SignalGroup != nil && byNumber.Load() > 0 {
			t.Errorf("%d signals by number although there is a pidfd", byNumber.Load())
		}
		t.Logf("%d signals sent, %d calls by number", sent.Load(), byNumber.Load())
	})
}

// TestReusedGroupNumberIsIgnored checks that the pidfd names the group of the leader although its
// number was reused: here the process table has another group under that number.
func TestReusedGroupNumberIsIgnored(t *testing.T) {
	if leader.System().SignalGroup == nil {
		t.Skip("groups cannot be signaled by pidfd")
	}
	other := exec.Command("sleep", "60")
	other.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	sys := leader.System()
	sys.Members = func(int) ([]int, error) { return []int{other.Process.Pid}, nil }
	p := mustStart(t, Spec{Argv: []string{"/bin/true"}}, sys)
	_ = p.WaitExit()
	if r := p.Sweep(context.Background(), 0); r.Found || !alive(other.Process.Pid) {
		t.Errorf("got %+v, the other group is alive: %v", r, alive(other.Process.Pid))
	}
}

func TestManySleepersHoldNoThreads(t *testing.T) {
	if leader.System().SignalGroup == nil {
		t.Skip("there are no pidfds")
	}
	const many = 300
	var procs []*Process
	var wg sync.WaitGroup
	for range many {
		p := mustStart(t, Spec{Argv: []string{"/bin/sleep", "60"}}, leader.System())
		procs = append(procs, p)
		wg.Go(func() { _ = p.WaitExit() })
		wg.Go(func() { _, _ = readAll(p.Stdout()) })
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil || len(threads) >= 40 {
		t.Errorf("%d threads for %d children, %v", len(threads), many, err)
	}
	for _, p := range procs {
		_ = p.Kill()
	}
	wg.Wait()
}
