package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// count prints the ids of its two processes, and then counts to most.
const (
	count = `echo $$; sleep 1000 & echo $!; i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo $i; sleep 0.005; done; exit 4`
	most  = 100
)

// state is a process's, as the kernel has it: T is stopped, or frozen with its control group.
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

// inVfork reports whether a process can't be stopped because it waits in the kernel for a child to exec that is stopped
// itself (vfork(2)): it goes on when that does.
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

func becomes(t *testing.T, want string, pids ...string) {
	t.Helper()
	for _, pid := range pids {
		if !poll(func() bool { return state(pid) == want || want == "T" && inVfork(pid) }) {
			t.Fatalf("process %s is %s, not %s", pid, state(pid), want)
		}
	}
}

func (x *program) pid() string { return strconv.Itoa(x.Process.Pid) }

// counted is what count prints.
func counted(t *testing.T, got string) {
	t.Helper()
	var want strings.Builder
	for i := range most {
		fmt.Fprintln(&want, i+1)
	}
	if got != want.String() {
		t.Errorf("what was counted is %q", got)
	}
}

func TestCtrlZStopsTheCommandToo(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		x := p.runnel(t, "run", "-c", count)
		leader, child := x.line(), x.line()
		for range 3 {
			x.signal(syscall.SIGTSTP)
			becomes(t, "T", x.pid(), leader, child)
			x.signal(syscall.SIGCONT)
			becomes(t, "S", child)
		}
		counted(t, x.rest())
		x.exits(4)
	})
}

// A server takes a stopped client for dead. The command is still there when that comes back.
func TestCtrlZOutlivesTheConnection(t *testing.T) {
	for _, to := range []string{"socket", "url"} {
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			server, ready := p.serve(t, "--ping-interval=400ms", "--log-level=debug")
			args := []string{"run", "-c", count}
			if to == "url" {
				args = []string{"run", "--url", ready.URL, "-c", count}
			}
			x := p.runnel(t, args...)
			leader, child := x.line(), x.line()
			x.signal(syscall.SIGTSTP)
			becomes(t, "T", x.pid(), leader, child)
			server.logs("disconnected")
			becomes(t, "T", leader, child)
			x.signal(syscall.SIGCONT)
			counted(t, x.rest())
			x.exits(4)
			x.logs("reconnected")
		})
	}
}

func TestIgnoredStopStaysIgnored(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		x := p.start(t, "sh", "-c", `trap "" TSTP; exec runnel run -- sh -c 'echo $$; read line; exit 5'`)
		leader := x.line()
		x.signal(syscall.SIGTSTP)
		for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if state(x.pid()) == "T" || state(leader) == "T" {
				t.Fatal("stopped")
			}
		}
		x.types("go on\n")
		x.exits(5)
	})
}

// No shell could bring it back, so the kernel ignores Ctrl-Z there, and so does run.
func TestCtrlZWithoutAShell(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		x := p.start(t, "setsid", "runnel", "run", "-c", "echo ready; read line; exit 6")
		x.expect("ready")
		x.signal(syscall.SIGTSTP)
		x.types("go on\n")
		x.exits(6)
	})
}

// What is left of a stopped run that was killed is its command, paused, which anybody may take over.
func TestKilledWhileStopped(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.serve(t)
	x := p.runnel(t, "run", "-c", count)
	leader, child := x.line(), x.line()
	x.signal(syscall.SIGTSTP)
	becomes(t, "T", x.pid(), leader, child)
	x.signal(syscall.SIGKILL)
	x.exits(-1)
	ps := p.runnel(t, "ps")
	fields := strings.Fields(ps.rest()[len("SESSION"):])
	ps.exits(0)
	if !strings.Contains(strings.Join(fields, " "), "paused") {
		t.Fatalf("ps: %q", fields)
	}
	becomes(t, "T", leader, child)
	id := fields[5]
	resumed := p.runnel(t, "resume", id)
	resumed.expect(id + " resumed")
	attached := p.runnel(t, "attach", id)
	attached.expect(leader)
	attached.expect(child)
	counted(t, attached.rest())
	attached.exits(4)
}
