//go:build linux

package process

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/memberwise"
)

// mark is put into the environment of a tree, so that all of it can be found wherever it went.
func withTag(spec Spec) (Spec, string) {
	mark := fmt.Sprintf("RUNNEL_JOBS=%d.%d", os.Getpid(), time.Now().UnixNano())
	spec.Env = append(slices.Clone(spec.Env), mark)
	return spec, mark
}

// marked lists the living processes that have the mark.
func marked(mark string) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscan(e.Name(), &pid); err != nil {
			continue
		}
		env, _ := os.ReadFile("/proc/" + e.Name() + "/environ")
		if strings.Contains(string(env), mark) && alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// shells with job control, of which each job is a group of its own.
var shells = map[string][]string{
	"bash": {"bash", "--norc", "--noprofile", "-i"},
	"sh":   {"sh", "-i"},
}

// someJobs starts jobs of every kind in an interactive shell: in the background, stopped, in a subshell, deaf
// to SIGTERM and SIGHUP, and one in the foreground.
const someJobs = `sleep 1001 & sleep 1002 | sleep 1003 &
(trap "" TERM HUP INT; sleep 1004; :) &
sleep 1005 & kill -STOP $!
(sleep 1006 & sleep 1007; :) &
echo re''ady; sleep 1008
`

const countOfJobs = 11 // with the shell and the subshells

func startJobs(t *testing.T, argv []string) (p *Process, mark_ string, pids []int) {
	t.Helper()
	spec, m := withTag(Spec{Argv: argv, Env: append(slices.Clone(testEnv), "PS1=$ ", "HISTFILE=")})
	p = mustStart(t, onTerminal(spec), leader.System())
	types(t, p, someJobs)
	wants(t, p.Stdout(), "ready\r\n")
	if !poll(func() bool { pids = marked(m); return len(pids) == countOfJobs && someStopped(pids) == 1 }) {
		t.Fatalf("%d processes run, %d are stopped", len(pids), someStopped(pids))
	}
	return p, m, pids
}

func someStopped(pids []int) (n int) {
	for _, pid := range pids {
		if state(pid) == 'T' {
			n++
		}
	}
	return n
}

func eachShell(t *testing.T, f func(t *testing.T, argv []string)) {
	for name, argv := range shells {
		t.Run(name, func(t *testing.T) { f(t, argv) })
	}
}

func TestJobsAreOfTheTree(t *testing.T) {
	eachShell(t, func(t *testing.T, argv []string) {
		p, _, pids := startJobs(t, argv)
		living, err := p.Members()
		slices.Sort(living)
		slices.Sort(pids)
		if !slices.Equal(living, pids) || err != nil {
			t.Errorf("living %v, %v; there are %v", living, err, pids)
		}
	})
}

func TestKillReachesAllJobs(t *testing.T) {
	eachShell(t, func(t *testing.T, argv []string) {
		p, m, _ := startJobs(t, argv)
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		if !poll(func() bool { return len(marked(m)) == 0 }) {
			t.Errorf("alive: %v", marked(m))
		}
		_ = p.WaitExit()
		if exit, _ := p.Reap(); exit.Signal != syscall.SIGKILL {
			t.Errorf("%+v", exit)
		}
	})
}

// The shell itself goes at once, though it ignores SIGTERM; who ignores SIGHUP too is swept.
func TestTerminateHangsUp(t *testing.T) {
	eachShell(t, func(t *testing.T, argv []string) {
		p, m, _ := startJobs(t, argv)
		begin := time.Now()
		if err := p.Terminate(); err != nil {
			t.Fatal(err)
		}
		if !poll(func() bool { return state(p.PID()) == 'Z' }) {
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
			t.Fatalf("the shell does not end:\n%s", status)
		}
		_ = p.WaitExit()
		if took := time.Since(begin); took > patience/2 {
			t.Errorf("took %v", took)
		}
		r := p.Sweep(context.Background(), 50*time.Millisecond)
		if !r.Found || !r.Escalated || len(r.Survivors) > 0 || len(marked(m)) > 0 {
			t.Errorf("%+v, alive: %v", r, marked(m))
		}
		if exit, err := p.Reap(); exit.Signal != syscall.SIGHUP || err != nil {
			t.Errorf("%+v, %v", exit, err)
		}
	})
}

// A program that handles SIGTERM is given its time, and no SIGHUP.
func TestTerminateLeavesTimeToWhoAnswers(t *testing.T) {
	p := mustStart(t, onTerminal(sh(`trap "echo asked; sleep 0.1; echo done; exit 4" TERM; echo ready; while :; do sleep 0.01; done`)), leader.System())
	wants(t, p.Stdout(), "ready\r\n")
	_ = p.Terminate()
	if out, err := readAll(p.Stdout()); !strings.Contains(out, "asked\r\n") || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	if exit := finish(p); exit.Signal == syscall.SIGHUP || exit.Signal == syscall.SIGKILL {
		t.Errorf("%+v", exit)
	}
}

// Jobs that outlive their shell are swept, whichever group they are in; the leader is reaped behind that.
func TestSweepFindsJobsOfADeadShell(t *testing.T) {
	spec, m := withTag(Spec{Argv: shells["bash"], Env: append(slices.Clone(testEnv), "PS1=$ ", "HISTFILE=")})
	p := mustStart(t, onTerminal(spec), leader.System())
	dir := t.TempDir() // a job ignores SIGTERM for certain only once it runs its own commands
	types(t, p, "trap '' HUP TERM; for i in 1 2 3; do (: >"+dir+"/$i; while :; do sleep 0.01; done) & done; disown -a; "+
		"until test -e "+dir+"/1 -a -e "+dir+"/2 -a -e "+dir+"/3; do sleep 0.01; done; exit 6\n")
	if err := p.WaitExit(); err != nil {
		t.Fatal(err)
	}
	if n := len(marked(m)); n < 3 {
		t.Errorf("%d live", n)
	}
	r := p.Sweep(context.Background(), 20*time.Millisecond)
	if !r.Found || !r.Escalated || len(r.Survivors) > 0 || len(marked(m)) > 0 {
		t.Errorf("%+v, alive: %v", r, marked(m))
	}
	if state(p.PID()) != 'Z' {
		t.Error("the leader was reaped before: its number might have been a stranger's")
	}
	if exit, err := p.Reap(); exit.Code != 6 || err != nil {
		t.Errorf("%+v, %v", exit, err)
	}
	if err := p.Kill(); err != os.ErrProcessDone {
		t.Errorf("after the reap: %v", err)
	}
}

// Who forks faster than it is looked for is found all the same.
func TestKillReachesWhoForks(t *testing.T) {
	const script = `set -m; fork() { while :; do (sleep 0.01 & sleep 0.02) & sleep 0.005; done; }; fork & fork & fork & echo ready; wait`
	spec, m := withTag(Spec{Argv: []string{"bash", "-c", script}, Env: testEnv})
	for range 5 {
		p := mustStart(t, onTerminal(spec), leader.System())
		wants(t, p.Stdout(), "ready\r\n")
		if !poll(func() bool { return len(marked(m)) > 8 }) {
			t.Fatal("nobody forks")
		}
		_ = p.Kill()
		_ = p.WaitExit()
		if r := p.Sweep(context.Background(), 0); len(r.Survivors) > 0 || len(marked(m)) > 0 {
			t.Fatalf("%+v, alive: %v", r, marked(m))
		}
	}
}

// A paused shell does not see its jobs stop, and what stood still before does so after.
func TestPauseOfATerminal(t *testing.T) {
	eachShell(t, func(t *testing.T, argv []string) {
		p, m, pids := startJobs(t, argv)
		late := false // the machine is too busy for a promise
		for range 10 {
			begin := time.Now()
			for range 2 { // twice is no error
				if err := p.Pause(); err != nil {
					t.Fatal(err)
				}
			}
			late = late || time.Since(begin) > memberwise.PauseWait
			if !poll(func() bool { return someStopped(pids) == len(pids) }) {
				t.Fatalf("paused, but %d of %d are stopped", someStopped(pids), len(pids))
			}
			for range 2 {
				if err := p.Resume(); err != nil {
					t.Fatal(err)
				}
			}
			if !poll(func() bool { return someStopped(pids) == 1 }) {
				t.Fatalf("resumed, but %d are stopped", someStopped(pids))
			}
		}
		types(t, p, "\x03")
		foregroundGone := func() bool { return len(marked(m)) == countOfJobs-1 }
		if !late && !poll(foregroundGone) {
			t.Fatal("Ctrl-C does not end the job in the foreground")
		}
		types(t, p, "echo e''nd\n")
		told := 0
		for line := range strings.Lines(wants(t, p.Stdout(), "end\r\n")) {
			if strings.Contains(line, "Stopped") && !strings.Contains(line, "sleep 1005") {
				told++
			}
		}
		if told > 0 && !late {
			t.Errorf("the shell tells of %d stopped jobs", told)
		}
	})
}
