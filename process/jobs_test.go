//go:build linux

package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/memberwise"
)

// withTag returns spec with a tag in its environment, by which all processes of the tree are found.
func withTag(spec Spec) (_ Spec, tag string) {
	tag = fmt.Sprintf("RUNNEL_JOBS=%d.%d", os.Getpid(), time.Now().UnixNano())
	spec.Env = append(slices.Clone(spec.Env), tag)
	return spec, tag
}

// aliveWithTag lists the processes with a tag that have not ended.
func aliveWithTag(tag string) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscan(e.Name(), &pid); err != nil {
			continue
		}
		env, _ := os.ReadFile("/proc/" + e.Name() + "/environ")
		if strings.Contains(string(env), tag) && alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// shells are shells with job control, which make a process group for each job.
var shells = map[string][]string{
	"bash": {"bash", "--norc", "--noprofile", "-i"},
	"sh":   {"sh", "-i"},
}

// someJobs starts jobs in an interactive shell: in the background, stopped, in a subshell, ignoring
// SIGTERM and SIGHUP, and one in the foreground.
const someJobs = `sleep 1001 & sleep 1002 | sleep 1003 &
(trap "" TERM HUP INT; sleep 1004; :) &
sleep 1005 & kill -STOP $!
(sleep 1006 & sleep 1007; :) &
echo re''ady; sleep 1008
`

const jobProcesses = 11 // including the shell and the subshells

func startJobs(t *testing.T, argv []string) (p *Process, tag string, pids []int) {
	t.Helper()
	spec, tag := withTag(Spec{Argv: argv, Env: append(slices.Clone(testEnv), "PS1=$ ", "HISTFILE=")})
	p = mustStart(t, onTerminal(spec), leader.System())
	typeText(t, p, someJobs)
	readUntil(t, p.Stdout(), "ready\r\n")
	if !poll(func() bool { pids = aliveWithTag(tag); return len(pids) == jobProcesses && countStopped(pids) == 1 }) {
		t.Fatalf("%d processes are alive, %d of them stopped", len(pids), countStopped(pids))
	}
	// A shell makes a job the foreground process group before the exec, and one that uses vfork(2)
	// cannot be stopped before it.
	for n := 1001; n <= 1008; n++ {
		if n != 1005 { // it may have been stopped before the exec
			awaitSleep(t, p, strconv.Itoa(n))
		}
	}
	return p, tag, pids
}

func countStopped(pids []int) (n int) {
	for _, pid := range pids {
		if state(pid) == 'T' {
			n++
		}
	}
	return n
}

// states returns the state of each process (proc_pid_stat(5)).
func states(pids []int) string {
	var text strings.Builder
	for _, pid := range pids {
		fmt.Fprintf(&text, "%d %c ", pid, state(pid))
	}
	return text.String()
}

func eachShell(t *testing.T, f func(t *testing.T, argv []string)) {
	for name, argv := range shells {
		t.Run(name, func(t *testing.T) { f(t, argv) })
	}
}

// TestJobsAreMembers checks that the processes of all jobs are members of the tree.
func TestJobsAreMembers(t *testing.T) {
	eachShell(t, func(t *testing.T, argv []string) {
		p, _, pids := startJobs(t, argv)
		members, err := p.Members()
		slices.Sort(members)
		slices.Sort(pids)
		if !slices.Equal(members, pids) || err != nil {
			t.Errorf("Members = %v, %v, want %v", members, err, pids)
		}
	})
}

func TestKillReachesAllJobs(t *testing.T) {
	eachShell(t, func(t *testing.T, argv []string) {
		p, tag, _ := startJobs(t, argv)
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		if !poll(func() bool { return len(aliveWithTag(tag)) == 0 }) {
			t.Errorf("processes %v are alive after Kill", aliveWithTag(tag))
		}
		_ = p.WaitExit()
		if exit, _ := p.Reap(); exit.Signal != syscall.SIGKILL {
			t.Errorf("exit %+v", exit)
		}
	})
}

// TestTerminateSendsSIGHUP checks that Terminate ends an interactive shell, which ignores SIGTERM,
// and that a job which ignores SIGHUP too is killed by Sweep.
func TestTerminateSendsSIGHUP(t *testing.T) {
	eachShell(t, func(t *testing.T, argv []string) {
		p, tag, _ := startJobs(t, argv)
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
			t.Errorf("the shell ended after %v", took)
		}
		r := p.Sweep(context.Background(), 50*time.Millisecond)
		if !r.Found || !r.Escalated || len(r.Survivors) > 0 || len(aliveWithTag(tag)) > 0 {
			t.Errorf("Sweep = %+v, processes %v are alive", r, aliveWithTag(tag))
		}
		if exit, err := p.Reap(); exit.Signal != syscall.SIGHUP || err != nil {
			t.Errorf("exit %+v, %v", exit, err)
		}
	})
}

// TestTerminateOfShellThatForks checks that a shell gets SIGHUP if it blocks SIGTERM when it is sent
// and ignores it afterwards, as bash does during a fork.
func TestTerminateOfShellThatForks(t *testing.T) {
	const script = `echo ready
until [ "$pending" ]; do
	while read -r name mask; do
		case $name$mask in ShdPnd:*4000) pending=1;; esac
	done </proc/$$/status
done
exec env --ignore-signal=TERM sleep 1009`
	if err := exec.Command("env", "--block-signal=TERM", "true").Run(); err != nil {
		t.Skip("NOT TESTED: env cannot block signals")
	}
	p := mustStart(t, onTerminal(Spec{Argv: []string{"env", "--block-signal=TERM", "sh", "-c", script}, Env: testEnv}), leader.System())
	readUntil(t, p.Stdout(), "ready\r\n")
	if err := p.Terminate(); err != nil {
		t.Fatal(err)
	}
	if !poll(func() bool { return state(p.PID()) == 'Z' }) {
		t.Error("the shell does not end")
	}
	if exit := finish(p); exit.Signal != syscall.SIGHUP {
		t.Errorf("exit %+v", exit)
	}
}

// TestTerminateOfHandler checks that a program which handles SIGTERM gets no SIGHUP and can finish.
func TestTerminateOfHandler(t *testing.T) {
	p := mustStart(t, onTerminal(sh(`trap "echo stopping; sleep 0.1; echo done; exit 4" TERM; echo ready; while :; do sleep 0.01; done`)), leader.System())
	readUntil(t, p.Stdout(), "ready\r\n")
	_ = p.Terminate()
	if out, err := readAll(p.Stdout()); !strings.Contains(out, "stopping\r\n") || err != nil {
		t.Errorf("output %q, %v", out, err)
	}
	if exit := finish(p); exit.Signal == syscall.SIGHUP || exit.Signal == syscall.SIGKILL {
		t.Errorf("exit %+v", exit)
	}
}

// TestSweepFindsJobsOfExitedShell checks that Sweep ends jobs that have outlived their shell, in
// all process groups, before the leader is reaped.
func TestSweepFindsJobsOfExitedShell(t *testing.T) {
	spec, tag := withTag(Spec{Argv: shells["bash"], Env: append(slices.Clone(testEnv), "PS1=$ ", "HISTFILE=")})
	p := mustStart(t, onTerminal(spec), leader.System())
	dir := t.TempDir() // a job ignores SIGTERM once it has created its file
	typeText(t, p, "trap '' HUP TERM; for i in 1 2 3; do (: >"+dir+"/$i; while :; do sleep 0.01; done) & done; disown -a; "+
		"until test -e "+dir+"/1 -a -e "+dir+"/2 -a -e "+dir+"/3; do sleep 0.01; done; exit 6\n")
	if err := p.WaitExit(); err != nil {
		t.Fatal(err)
	}
	if n := len(aliveWithTag(tag)); n < 3 {
		t.Errorf("%d processes are alive before Sweep, want at least 3", n)
	}
	r := p.Sweep(context.Background(), 20*time.Millisecond)
	if !r.Found || !r.Escalated || len(r.Survivors) > 0 || len(aliveWithTag(tag)) > 0 {
		t.Errorf("Sweep = %+v, processes %v are alive", r, aliveWithTag(tag))
	}
	if state(p.PID()) != 'Z' {
		t.Error("the leader was reaped before the end of Sweep")
	}
	if exit, err := p.Reap(); exit.Code != 6 || err != nil {
		t.Errorf("exit %+v, %v", exit, err)
	}
	if err := p.Kill(); err != os.ErrProcessDone {
		t.Errorf("Kill after Reap: %v, want os.ErrProcessDone", err)
	}
}

// TestKillReachesForkingProcesses checks that processes which fork faster than the tree is scanned
// are killed.
func TestKillReachesForkingProcesses(t *testing.T) {
	const script = `set -m; fork() { while :; do (sleep 0.01 & sleep 0.02) & sleep 0.005; done; }; fork & fork & fork & echo ready; wait`
	spec, tag := withTag(Spec{Argv: []string{"bash", "-c", script}, Env: testEnv})
	for range 5 {
		p := mustStart(t, onTerminal(spec), leader.System())
		readUntil(t, p.Stdout(), "ready\r\n")
		if !poll(func() bool { return len(aliveWithTag(tag)) > 8 }) {
			t.Fatal("the script does not fork")
		}
		_ = p.Kill()
		_ = p.WaitExit()
		if r := p.Sweep(context.Background(), 0); len(r.Survivors) > 0 || len(aliveWithTag(tag)) > 0 {
			t.Fatalf("Sweep = %+v, processes %v are alive", r, aliveWithTag(tag))
		}
	}
}

// TestPauseOfShell checks that a paused shell does not notice that its jobs are stopped, and that a
// job which was stopped before stays stopped.
func TestPauseOfShell(t *testing.T) {
	eachShell(t, func(t *testing.T, argv []string) {
		p, tag, pids := startJobs(t, argv)
		late := false // the machine is too busy: Pause did not wait for all parents
		for range 10 {
			begin := time.Now()
			for range 2 { // a second call is no error
				if err := p.Pause(); err != nil {
					t.Fatal(err)
				}
			}
			late = late || time.Since(begin) > memberwise.PauseWait
			if !poll(func() bool { return countStopped(pids) == len(pids) }) {
				t.Fatalf("not all processes are stopped after Pause: %s", states(pids))
			}
			for range 2 {
				if err := p.Resume(); err != nil {
					t.Fatal(err)
				}
			}
			if !poll(func() bool { return countStopped(pids) == 1 }) {
				t.Fatalf("%d processes are stopped after Resume, want 1", countStopped(pids))
			}
		}
		typeText(t, p, "\x03")
		foregroundEnded := func() bool { return len(aliveWithTag(tag)) == jobProcesses-1 }
		if !late && !poll(foregroundEnded) {
			t.Fatal("Ctrl-C does not end the job in the foreground")
		}
		typeText(t, p, "echo e''nd\n")
		reported := 0
		for line := range strings.Lines(readUntil(t, p.Stdout(), "end\r\n")) {
			if strings.Contains(line, "Stopped") && !strings.Contains(line, "sleep 1005") {
				reported++
			}
		}
		if reported > 0 && !late {
			t.Errorf("the shell reports %d stopped jobs", reported)
		}
	})
}
