package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// counting is a command that prints the ids of its two processes, and then counts to countTo.
const (
	counting = `echo $$; sleep 1000 & echo $!; i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo $i; sleep 0.005; done; exit 4`
	countTo  = 100
)

// state returns the state of a process (proc_pid_stat(5)), and T also if its control group is frozen.
func state(pid string) string {
	line, _ := os.ReadFile("/proc/" + pid + "/stat")
	_, rest, _ := strings.Cut(string(line), ") ")
	st, _, _ := strings.Cut(rest, " ")
	if st != "" && frozen(pid) {
		return "T"
	}
	return st
}

func frozen(pid string) bool {
	groups, _ := os.ReadFile("/proc/" + pid + "/cgroup")
	for line := range strings.Lines(string(groups)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
				events, _ := os.ReadFile(mount + path + "/cgroup.events")
				if strings.Contains(string(events), "frozen 1") {
					return true
				}
			}
		}
	}
	return false
}

// inVfork reports whether a process cannot stop because it waits in the kernel for the exec of a
// stopped child (vfork(2)). It continues with that child.
func inVfork(pid string) bool {
	if state(pid) != "D" {
		return false
	}
	children, _ := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	for _, child := range strings.Fields(string(children)) {
		if state(child) == "T" {
			return true
		}
	}
	return false
}

// awaitState waits until the processes have a state.
func awaitState(t *testing.T, want string, pids ...string) {
	t.Helper()
	for _, pid := range pids {
		if !poll(func() bool { return state(pid) == want || want == "T" && inVfork(pid) }) {
			t.Fatalf("process %s is in state %s, want %s", pid, state(pid), want)
		}
	}
}

func (x *program) pid() string { return strconv.Itoa(x.Process.Pid) }

// expectCount checks the output of counting after its first two lines.
func expectCount(t *testing.T, got string) {
	t.Helper()
	var want strings.Builder
	for i := range countTo {
		fmt.Fprintln(&want, i+1)
	}
	if got != want.String() {
		t.Errorf("output is %q", got)
	}
}

func TestCtrlZPausesTheCommand(t *testing.T) {
	withAndWithoutServer(t, func(t *testing.T, p *testDir) {
		x := p.runnel(t, "run", "-c", counting)
		leader, child := x.readLine(), x.readLine()
		for range 3 {
			x.signal(syscall.SIGTSTP)
			awaitState(t, "T", x.pid(), leader, child)
			x.signal(syscall.SIGCONT)
			awaitState(t, "S", child)
		}
		expectCount(t, x.readAll())
		x.expectExit(4)
	})
}

// TestCtrlZWithALostConnection: the server closes the connection of a stopped client. The command
// is still paused when the client continues.
func TestCtrlZWithALostConnection(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"socket", "url"} {
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			p := newTestDir(t)
			server, ready := p.serve(t, "--ping-interval=400ms", "--log-level=debug")
			args := []string{"run", "-c", counting}
			if to == "url" {
				args = []string{"run", "--url", ready.URL, "-c", counting}
			}
			x := p.runnel(t, args...)
			leader, child := x.readLine(), x.readLine()
			x.signal(syscall.SIGTSTP)
			awaitState(t, "T", x.pid(), leader, child)
			server.awaitStderr("disconnected")
			awaitState(t, "T", leader, child)
			x.signal(syscall.SIGCONT)
			expectCount(t, x.readAll())
			x.expectExit(4)
			x.awaitStderr("reconnected")
		})
	}
}

// TestIgnoredStopStaysIgnored: if run was started with SIGTSTP ignored, the kernel discards the
// signal. So neither run is stopped nor its command paused.
func TestIgnoredStopStaysIgnored(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc/PID/status")
	}
	withAndWithoutServer(t, func(t *testing.T, p *testDir) {
		x := p.start(t, "sh", "-c", `trap "" TSTP; exec runnel run -- sh -c 'echo $$; read line; exit 5'`)
		leader := x.readLine()
		status, err := os.ReadFile("/proc/" + x.pid() + "/status")
		if err != nil {
			t.Fatal(err)
		}
		if !ignoredSignals(status).has(syscall.SIGTSTP) {
			t.Fatal("run does not ignore SIGTSTP")
		}
		x.signal(syscall.SIGTSTP)
		// A pause of the command would take a request to the server, so the states are checked for a
		// while: there is no event to wait for.
		for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if state(x.pid()) == "T" || state(leader) == "T" {
				t.Fatal("run or its command is stopped")
			}
		}
		x.writeStdin("go on\n")
		x.expectExit(5)
	})
}

// TestCtrlZInASessionLeader: the kernel does not stop a session leader, whose process group is
// orphaned, and run does not pause its command.
func TestCtrlZInASessionLeader(t *testing.T) {
	withAndWithoutServer(t, func(t *testing.T, p *testDir) {
		x := p.start(t, "setsid", "runnel", "run", "-c", "echo ready; read line; exit 6")
		x.expectLine("ready")
		x.signal(syscall.SIGTSTP)
		x.writeStdin("go on\n")
		x.expectExit(6)
	})
}

// TestKillOfAStoppedRun: the command of a run that was killed while it was stopped is paused, and
// can be resumed and attached to.
func TestKillOfAStoppedRun(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	p.serve(t)
	x := p.runnel(t, "run", "-c", counting)
	leader, child := x.readLine(), x.readLine()
	x.signal(syscall.SIGTSTP)
	awaitState(t, "T", x.pid(), leader, child)
	x.signal(syscall.SIGKILL)
	x.expectExit(-1)
	ps := p.runnel(t, "ps", "--quiet", "--state", "paused")
	id := strings.TrimSpace(ps.readAll())
	ps.expectExit(0)
	if id == "" {
		t.Fatal("ps lists no session that is paused")
	}
	awaitState(t, "T", leader, child)
	resumed := p.runnel(t, "resume", id)
	resumed.expectLine(id + " resumed")
	attached := p.runnel(t, "attach", id)
	attached.expectLine(leader)
	attached.expectLine(child)
	expectCount(t, attached.readAll())
	attached.expectExit(4)
}
