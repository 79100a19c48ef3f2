package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process"
)

// keeperBound is how soon a keeper has ended everything: a second, and more on a machine that is busy with other tests.
const keeperBound = 5 * time.Second

// keeperOf waits for the keeper of a server.
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

// endsAll waits for the end of processes, and for the state directory to be empty.
func (p *place) endsAll(t *testing.T, pids ...string) {
	t.Helper()
	began := time.Now()
	for _, pid := range pids {
		gone(t, pid)
	}
	var files []string
	if !poll(func() bool {
		files, _ = filepath.Glob(p.path(".local/state/runnel/runnel-*"))
		return len(files) == 0
	}) {
		t.Errorf("left: %q", files)
	}
	if took := time.Since(began); took > keeperBound {
		t.Errorf("it took %v", took)
	} else {
		t.Logf("all is gone after %v", took)
	}
}

func eachContainment(t *testing.T, f func(t *testing.T, kind process.Containment, script string)) {
	if runtime.GOOS != "linux" {
		t.Skip("there are keepers on Linux only")
	}
	for _, kind := range []process.Containment{process.Cgroup, process.Marker, process.Group} {
		t.Run(string(kind), func(t *testing.T) {
			h, err := process.Open(process.Options{Containment: kind})
			if err != nil {
				t.Skip(err)
			}
			_ = h.Close()
			script := "trap '' TERM HUP; setsid sleep 600 & echo $!; sleep 600 & echo $!; echo $$; wait"
			if kind == process.Group { // which does not hold who calls setsid
				script = strings.Replace(script, "setsid ", "", 1)
			}
			f(t, kind, script)
		})
	}
}

// What a server runs does not outlive it when it is killed, though none is started after it.
func TestKeeperOfAKilledServer(t *testing.T) {
	eachContainment(t, func(t *testing.T, kind process.Containment, script string) {
		p := newPlace(t)
		server, _ := p.serve(t, "--containment="+string(kind))
		x := p.runnel(t, "run", "-c", script)
		pids := []string{x.line(), x.line(), x.line(), strconv.Itoa(keeperOf(t, server.Process.Pid))}
		server.signal(syscall.SIGKILL)
		<-server.done
		p.endsAll(t, pids...)
		x.exits(exitRunnelFailed)
	})
}

// The same holds for a run that serves itself, and again after its keeper was killed.
func TestKeeperOfAKilledRun(t *testing.T) {
	eachContainment(t, func(t *testing.T, kind process.Containment, script string) {
		if kind != process.Cgroup {
			t.Skip("run takes the strongest containment; see TestKeeperOfAKilledServer for the others")
		}
		p := newPlace(t)
		x := p.runnel(t, "run", "-c", script)
		pids := []string{x.line(), x.line(), x.line()}
		first := keeperOf(t, x.Process.Pid)
		_ = syscall.Kill(first, syscall.SIGKILL)
		second := first
		if !poll(func() bool { second = keeperOf(t, x.Process.Pid); return second != first }) {
			t.Fatal("no other keeper is started")
		}
		x.signal(syscall.SIGKILL)
		<-x.done
		p.endsAll(t, append(pids, strconv.Itoa(second))...)
	})
}

// A server that ends in order leaves no keeper.
func TestNoKeeperOutlivesItsServer(t *testing.T) {
	p := newPlace(t)
	server, _ := p.serve(t)
	keeper := keeperOf(t, server.Process.Pid)
	server.signal(syscall.SIGTERM)
	server.exits(0)
	if _, err := os.Stat("/proc/" + strconv.Itoa(keeper)); err == nil {
		t.Error("it is there when the server has exited")
	}
	if strings.Contains(server.errors(), "keeper") {
		t.Error(server.errors())
	}
}

// A keeper takes less than 3 MiB of memory that is its own.
func TestKeeperIsSmall(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there are keepers on Linux only")
	}
	p := newPlace(t)
	program := p.path("real")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	server := p.start(t, program, "serve", "--listen=127.0.0.1:0")
	server.logs("listening")
	keeper := keeperOf(t, server.Process.Pid)
	ready := func() bool { // what it does first is done
		name, _ := os.ReadFile("/proc/" + strconv.Itoa(keeper) + "/comm")
		state, _ := os.ReadFile("/proc/" + strconv.Itoa(keeper) + "/wchan")
		return string(name) == "keeper\n" && bytes.Contains(state, []byte("poll"))
	}
	if !poll(ready) {
		t.Log("it may not have started to wait")
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
	server.endBy(syscall.SIGTERM)
}

// A runnel that runs in a session of another one has a keeper of its own.
func TestNestedRunHasAKeeper(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there are keepers on Linux only")
	}
	p := newPlace(t)
	x := p.runnel(t, "run", "-c", `runnel run -c "trap '' TERM; sleep 600 & echo \$!; echo \$\$; wait" & echo $!; wait $!; echo over; exec sleep 600`)
	inner, err := strconv.Atoi(x.line())
	if err != nil {
		t.Fatal(err)
	}
	pids := []string{x.line(), x.line(), strconv.Itoa(keeperOf(t, inner))}
	outer := keeperOf(t, x.Process.Pid)
	_ = syscall.Kill(inner, syscall.SIGKILL)
	x.expect("over")
	began := time.Now()
	for _, pid := range pids {
		gone(t, pid)
	}
	if took := time.Since(began); took > keeperBound {
		t.Errorf("it took %v", took)
	}
	if keeperOf(t, x.Process.Pid) != outer {
		t.Error("the outer one's keeper was ended")
	}
	x.endBy(syscall.SIGTERM)
}
