package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process"
)

// keeperBound is how long a keeper may take to end everything: usually less than a second, more on
// a busy machine.
const keeperBound = 5 * time.Second

// keeperOf waits for the keeper of a server and returns its process id.
func keeperOf(t *testing.T, server int) (keeper int) {
	t.Helper()
	if !poll(func() bool {
		for _, pid := range childrenOf(server) {
			if args, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline"); bytes.HasPrefix(args, []byte("runnel-keeper\x00")) {
				keeper = pid
			}
		}
		return keeper != 0
	}) {
		t.Fatal("no keeper")
	}
	return keeper
}

// awaitCleanup waits until the processes have ended and the state directory is empty.
func (p *testDir) awaitCleanup(t *testing.T, pids ...string) {
	t.Helper()
	began := time.Now()
	for _, pid := range pids {
		awaitExit(t, pid)
	}
	var files []string
	if !poll(func() bool {
		files, _ = filepath.Glob(p.path(".local/state/runnel/runnel-*"))
		return len(files) == 0
	}) {
		t.Errorf("state files left: %q", files)
	}
	if took := time.Since(began); took > keeperBound {
		t.Errorf("it took %v", took)
	} else {
		t.Logf("cleaned up after %v", took)
	}
}

// skipUnavailable skips the test if this machine does not have a containment.
func skipUnavailable(t *testing.T, kind process.Containment) {
	t.Helper()
	h, err := process.Open(process.Options{Containment: kind})
	if err != nil {
		t.Skip(err)
	}
	_ = h.Close()
}

// eachContainment runs a keeper test with each containment. Script is a command that prints the ids
// of its processes.
func eachContainment(t *testing.T, f func(t *testing.T, kind process.Containment, script string)) {
	if runtime.GOOS != "linux" {
		t.Skip("keepers exist on Linux only")
	}
	for _, kind := range []process.Containment{process.Cgroup, process.Marker, process.Group} {
		t.Run(string(kind), func(t *testing.T) {
			skipUnavailable(t, kind)
			script := "trap '' TERM HUP; setsid sleep 600 & echo $!; sleep 600 & echo $!; echo $$; wait"
			if kind == process.Group { // a process that calls setsid is not contained
				script = strings.Replace(script, "setsid ", "", 1)
			}
			f(t, kind, script)
		})
	}
}

// TestKeeperOfAKilledServer: when a server is killed, its keeper ends its sessions.
func TestKeeperOfAKilledServer(t *testing.T) {
	t.Parallel()
	eachContainment(t, func(t *testing.T, kind process.Containment, script string) {
		t.Parallel()
		p := newTestDir(t)
		server, _ := p.serve(t, "--containment="+string(kind))
		x := p.runnel(t, "run", "-c", script)
		pids := []string{x.readLine(), x.readLine(), x.readLine(), strconv.Itoa(keeperOf(t, server.Process.Pid))}
		server.signal(syscall.SIGKILL)
		<-server.done
		p.awaitCleanup(t, pids...)
		x.expectExit(exitRunnelFailed)
	})
}

// TestKeeperOfAKilledRun: a run with the server in its process has a keeper, too, and starts
// another one if it is killed.
func TestKeeperOfAKilledRun(t *testing.T) {
	eachContainment(t, func(t *testing.T, kind process.Containment, script string) {
		if kind != process.Cgroup {
			t.Skip("run takes the strongest containment; see TestKeeperOfAKilledServer for the others")
		}
		p := newTestDir(t)
		x := p.runnel(t, "run", "-c", script)
		pids := []string{x.readLine(), x.readLine(), x.readLine()}
		first := keeperOf(t, x.Process.Pid)
		_ = syscall.Kill(first, syscall.SIGKILL)
		second := first
		if !poll(func() bool { second = keeperOf(t, x.Process.Pid); return second != first }) {
			t.Fatal("no other keeper was started")
		}
		x.signal(syscall.SIGKILL)
		<-x.done
		p.awaitCleanup(t, append(pids, strconv.Itoa(second))...)
	})
}

// TestNoKeeperOutlivesItsServer: the keeper has ended when the server exits after a shutdown.
func TestNoKeeperOutlivesItsServer(t *testing.T) {
	p := newTestDir(t)
	server, _ := p.serve(t)
	keeper := keeperOf(t, server.Process.Pid)
	server.signal(syscall.SIGTERM)
	server.expectExit(0)
	if _, err := os.Stat("/proc/" + strconv.Itoa(keeper)); err == nil {
		t.Error("the keeper exists after the exit of the server")
	}
	if strings.Contains(server.stderrText(), "keeper") {
		t.Error(server.stderrText())
	}
}

// checkKeeperIsSmall checks that the anonymous memory of a keeper of a release is less than 3 MiB.
func checkKeeperIsSmall(t *testing.T, p *testDir, program string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("keepers exist on Linux only")
	}
	server := p.start(t, program, "serve", "--listen=127.0.0.1:0")
	server.awaitStderr("listening")
	keeper := keeperOf(t, server.Process.Pid)
	ready := func() bool { // its initialization is complete
		name, _ := os.ReadFile("/proc/" + strconv.Itoa(keeper) + "/comm")
		state, _ := os.ReadFile("/proc/" + strconv.Itoa(keeper) + "/wchan")
		return string(name) == "keeper\n" && bytes.Contains(state, []byte("poll"))
	}
	if !poll(ready) {
		t.Log("the keeper may not have started to wait")
	}
	status, _ := os.ReadFile("/proc/" + strconv.Itoa(keeper) + "/status")
	for line := range strings.Lines(string(status)) {
		if name, value, _ := strings.Cut(line, ":"); name == "RssAnon" {
			kB, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			if err != nil || kB >= 3<<10 {
				t.Errorf("RssAnon: %s, %v", value, err)
			}
			t.Logf("RssAnon is %d kB", kB)
		}
	}
	server.signalUntilExit(syscall.SIGTERM)
}

// TestNestedRunHasAKeeper: a run in a session of another run has its own keeper.
func TestNestedRunHasAKeeper(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("keepers exist on Linux only")
	}
	p := newTestDir(t)
	x := p.runnel(t, "run", "-c", `runnel run -c "trap '' TERM; sleep 600 & echo \$!; echo \$\$; wait" & echo $!; wait $!; echo over; exec sleep 600`)
	inner, err := strconv.Atoi(x.readLine())
	if err != nil {
		t.Fatal(err)
	}
	pids := []string{x.readLine(), x.readLine(), strconv.Itoa(keeperOf(t, inner))}
	outer := keeperOf(t, x.Process.Pid)
	_ = syscall.Kill(inner, syscall.SIGKILL)
	x.expectLine("over")
	began := time.Now()
	for _, pid := range pids {
		awaitExit(t, pid)
	}
	if took := time.Since(began); took > keeperBound {
		t.Errorf("it took %v", took)
	}
	if keeperOf(t, x.Process.Pid) != outer {
		t.Error("the keeper of the outer run was replaced")
	}
	x.signalUntilExit(syscall.SIGTERM)
}
