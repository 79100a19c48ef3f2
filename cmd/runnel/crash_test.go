package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
)

// runawayTrees starts sessions whose processes leave their process groups, and waits for all of
// these processes.
func runawayTrees(t *testing.T, p *testDir, trees int) (tag string) {
	t.Helper()
	program := p.path("runaway")
	if out, err := exec.Command("go", "build", "-o", program, "../../process/testdata/runaway").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c := dialSocket(t, p.socket())
	tag = "tag." + filepath.Base(p.dir)
	params := rpc.ExecuteParams{
		Command:      rpc.Command{Argv: []string{program, tag, "fork,double,setsid,close,ignore,clearenv,stay"}},
		OnDisconnect: rpc.OnDisconnectKeep,
	}
	for range trees {
		if err := c.Call(t.Context(), rpc.MethodExecute, params, nil); err != nil {
			t.Fatal(err)
		}
	}
	if !poll(func() bool { return tagged(tag) == 2*trees }) {
		t.Fatalf("%d processes are running, want %d", tagged(tag), 2*trees)
	}
	return tag
}

// tagged returns the number of processes with an argument. Zombies have no arguments.
func tagged(tag string) (n int) {
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range list {
		args, _ := os.ReadFile(file)
		if bytes.Contains(args, []byte("\x00"+tag+"\x00")) {
			n++
		}
	}
	return n
}

// TestCleanupAfterACrash: if a server is killed together with its keeper, the next server ends its
// trees before it listens.
func TestCleanupAfterACrash(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("needs control groups or marks")
	}
	trees := rounds(10, 50)
	for _, kind := range []process.Containment{process.Cgroup, process.Marker} {
		t.Run(string(kind), func(t *testing.T) {
			skipUnavailable(t, kind)
			p := newTestDir(t)
			bystander := p.start(t, "sleep", "600")
			p.serve(t, "--containment="+string(kind), "--socket="+p.path("other"), "--token-file="+p.path("token"))
			x := p.runnel(t, "run", "--url="+urlIn(t, p), "--token-file="+p.path("token"), "-c", "echo $$; exec sleep 600")
			stays := x.readLine()
			server, _ := p.serve(t, "--containment="+string(kind))
			tag := runawayTrees(t, p, trees)
			server.signal(syscall.SIGSTOP) // so that the server does not start another keeper
			_ = syscall.Kill(keeperOf(t, server.Process.Pid), syscall.SIGKILL)
			server.signal(syscall.SIGKILL)
			<-server.done
			next, _ := p.serve(t, "--containment="+string(kind))
			if n := tagged(tag); n > 0 {
				t.Errorf("%d processes of the killed server are left", n)
			}
			report := recovered(t, next.stderrText())
			if report.Servers != 1 || report.Processes < trees || report.Left != 0 {
				t.Errorf("reported %+v", report)
			}
			if _, err := os.Stat("/proc/" + stays); err != nil {
				t.Error("a process of another server was ended")
			}
			if err := bystander.Process.Signal(syscall.Signal(0)); err != nil {
				t.Error("an unrelated process was ended:", err)
			}
			_ = x.Process.Signal(syscall.SIGTERM)
		})
	}
}

func urlIn(t *testing.T, p *testDir) string {
	t.Helper()
	r, err := readReady(p.path("ready"))
	if err != nil {
		t.Fatal(err)
	}
	return r.URL
}

type recovery struct{ Servers, Processes, Left int }

// recovered returns what a server has logged about crashed servers.
func recovered(t *testing.T, log string) (r recovery) {
	t.Helper()
	for line := range strings.Lines(log) {
		if strings.Contains(line, "crashed servers") {
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Error(err)
			}
			if strings.Contains(log[:strings.Index(log, line)], "listening") {
				t.Error("the server listened before the cleanup")
			}
			return r
		}
	}
	t.Errorf("no log line about crashed servers: %s", log)
	return r
}

// TestContainmentFlag: invalid containments, limits and state directories are errors.
func TestContainmentFlag(t *testing.T) {
	p := newTestDir(t)
	for _, c := range []struct {
		args    []string
		status  int
		message string
	}{
		{[]string{"--containment=chroot"}, 2, "containment"},
		{[]string{"--limit=speed=1"}, 2, "speed"},
		{[]string{"--limit=open_files"}, 2, "NAME=VALUE"},
		{[]string{"--limit=processes=0"}, 2, "processes"},
		{[]string{"--limit=open_files=100", "--max-limit=open_files=99"}, 2, "--max-limit open_files=99"},
		{[]string{"--max-limit=open_files=9000000000000000000"}, 1, "open_files is at most"},
		{[]string{"--state-dir=/dev/null/x"}, 1, "/dev/null/x"},
	} {
		x := p.runnel(t, append([]string{"serve", "--listen=127.0.0.1:0"}, c.args...)...)
		x.expectExit(c.status)
		x.expectError(c.message)
	}
	server, _ := p.serve(t, "--containment=group", "--limit=open_files=100,cpu_seconds=50", "--max-limit=file_bytes=1MiB")
	server.awaitStderr(`"containment":"group"`)
	x := p.runnel(t, "run", "-c", "ulimit -n; ulimit -t; ulimit -f")
	if got, want := x.readAll(), fmt.Sprintf("100\n50\n%d\n", 1<<20/512); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	x.expectExit(0)
}
