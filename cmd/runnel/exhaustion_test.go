//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// skipUnlessRequired skips a test, or fails it if RUNNEL_TEST_REQUIRE says that the machine has
// what the test needs (.ci/run).
func skipUnlessRequired(t *testing.T, what, format string, args ...any) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("RUNNEL_TEST_REQUIRE"), ","), what) {
		t.Fatalf(format, args...)
	}
	t.Skipf("SKIPPED: "+format, args...)
}

// controlGroup creates a control group of version 1 with a limit. It is removed at the end of the
// test.
func controlGroup(t *testing.T, controller, file, value string) (dir string) {
	t.Helper()
	limit := map[string]string{"pids": "processes", "memory": "memory_bytes"}[controller]
	text, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(text)) {
		if fields := strings.SplitN(strings.TrimSpace(line), ":", 3); len(fields) == 3 && fields[1] == controller {
			dir = filepath.Join("/sys/fs/cgroup", controller, fields[2], "runnel-test-"+uuid.NewString())
		}
	}
	if dir == "" {
		skipUnlessRequired(t, limit, "no %s controller of version 1", controller)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		skipUnlessRequired(t, limit, "cannot create a control group: %v", err)
	}
	t.Cleanup(func() {
		if !poll(func() bool { return os.Remove(dir) == nil }) {
			left, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			t.Errorf("processes left in %s: %q", dir, left)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, file), []byte(value), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// serveIn starts a server in a control group, and connects to it.
func (p *testDir) serveIn(t *testing.T, dir string, args ...string) (*program, *client.Client) {
	t.Helper()
	script := `echo $$ >"$0/cgroup.procs" && exec runnel serve --listen=127.0.0.1:0 --ready-file=ready "$@"`
	x := p.start(t, "/bin/sh", append([]string{"-c", script, dir}, args...)...)
	if !poll(func() bool { r, _ := readReady(p.path("ready")); return r.PID == x.Process.Pid }) {
		t.Fatal("not ready:", x.stderrText())
	}
	return x, dialSocket(t, p.socket())
}

// call sends a request and returns an error reply. Any other error fails the test.
func call(t *testing.T, x *program, c *client.Client, method string, params, result any) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	err := c.Call(ctx, method, params, result)
	var refused *rpc.Error
	if err != nil && !errors.As(err, &refused) {
		t.Fatalf("%s: %v; stderr of the server: %s", method, err, x.stderrText())
	}
	return err
}

func eachContainmentName(t *testing.T, f func(t *testing.T, kind string)) {
	for _, kind := range []process.Containment{process.Cgroup, process.Marker, process.Group} {
		t.Run(string(kind), func(t *testing.T) { f(t, string(kind)) })
	}
}

func sleepers(tag string) (n int) {
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range list {
		if args, _ := os.ReadFile(file); strings.HasPrefix(string(args), "sleep\x00"+tag+"\x00") {
			n++
		}
	}
	return n
}

// TestProcessIDsRunOut: a session that uses up all process ids does not end the server or other
// sessions.
func TestProcessIDsRunOut(t *testing.T) {
	eachContainmentName(t, func(t *testing.T, kind string) {
		dir := controlGroup(t, "pids", "pids.max", "70")
		p := newTestDir(t)
		x, c := p.serveIn(t, dir, "--containment="+kind, "--drain=0s")
		execute := func(params rpc.ExecuteParams) (r rpc.ExecuteResult, err error) {
			params.OnDisconnect = rpc.OnDisconnectKeep
			err = call(t, x, c, rpc.MethodExecute, params, &r)
			return r, err
		}
		other, err := execute(rpc.ExecuteParams{Command: rpc.Command{Argv: []string{"cat"}}, Stdin: rpc.StdinPipe})
		if err != nil {
			t.Fatal(err)
		}
		tag := strconv.Itoa(600 + os.Getpid())
		greedy, err := execute(rpc.ExecuteParams{Command: rpc.Command{Shell: "yes " + tag + " | head -200 | xargs -P 200 -n 1 sleep"}})
		if err != nil {
			t.Fatal(err)
		}
		full := func() bool {
			return number(t, dir, "pids.events", "max ") > 0
		}
		if !poll(full) {
			t.Fatalf("%d processes run, and no fork has failed", sleepers(tag))
		}
		for range 20 { // each kind of request
			var refused *rpc.Error
			if r, err := execute(rpc.ExecuteParams{Command: rpc.Command{Argv: []string{"sleep", tag}}}); errors.As(err, &refused) {
				if refused.Code != rpc.CodeSpawnFailed || !strings.Contains(fmt.Sprint(refused.Data), "EAGAIN") {
					t.Errorf("execute: %+v", refused)
				}
			} else if err == nil { // a process of the greedy session had ended
				_ = call(t, x, c, rpc.MethodCancel, rpc.CancelParams{SessionID: r.SessionID}, nil)
			}
			data := "x\n"
			if err := call(t, x, c, rpc.MethodWrite, rpc.WriteParams{SessionID: other.SessionID, Data: &data}, nil); err != nil {
				t.Errorf("write: %v", err)
			}
			if err := call(t, x, c, rpc.MethodControl, rpc.ControlParams{SessionID: greedy.SessionID, Type: rpc.ControlPause}, nil); err != nil {
				t.Errorf("pause: %v", err)
			}
			if err := call(t, x, c, rpc.MethodControl, rpc.ControlParams{SessionID: greedy.SessionID, Type: rpc.ControlResume}, nil); err != nil {
				t.Errorf("resume: %v", err)
			}
		}
		var canceled rpc.CancelResult
		if err := call(t, x, c, rpc.MethodCancel, rpc.CancelParams{SessionID: greedy.SessionID}, &canceled); err != nil || len(canceled.Survivors) > 0 {
			t.Errorf("cancel: %+v, %v", canceled, err)
		}
		if n := sleepers(tag); n > 0 {
			t.Errorf("%d processes are left", n)
		}
		var st rpc.SessionStatus
		if err := call(t, x, c, rpc.MethodStatus, rpc.SessionParams{SessionID: other.SessionID}, &st); err != nil || st.State != "running" {
			t.Errorf("the other session: %+v, %v", st, err)
		}
		var again rpc.ExecuteResult
		works := func() bool {
			again, err = execute(rpc.ExecuteParams{Command: rpc.Command{Shell: "exit 3"}})
			return err == nil
		}
		// Under group, init reaps the orphans, which count until then.
		if !works() && (kind != string(process.Group) || !poll(works)) {
			t.Error(err)
		}
		var rec rpc.Completion
		if err := call(t, x, c, rpc.MethodWait, rpc.WaitParams{SessionID: again.SessionID}, &rec); err != nil || rec.ExitCode == nil || *rec.ExitCode != 3 {
			t.Errorf("execute after the cancel: %+v, %v", rec, err)
		}
		x.signal(syscall.SIGINT)
		x.expectExit(0)
	})
}

// number returns the number after a name in a file of a control group.
func number(t *testing.T, dir, file, name string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(rest))
			return n
		}
	}
	return 0
}

// TestMemoryRunsOut: when memory is exhausted, the kernel kills a process of a session, not the
// server.
func TestMemoryRunsOut(t *testing.T) {
	dir := controlGroup(t, "memory", "memory.limit_in_bytes", "160M")
	p := newTestDir(t)
	x, c := p.serveIn(t, dir, "--drain=0s")
	// 80 children of 3 MiB each.
	script := `i=0; while [ $i -lt 80 ]; do { head -c 3145728 /dev/zero; sleep 2; } | tail -c 3145728 >/dev/null & i=$((i+1)); done; wait; exit 7`
	ctx, cancel := context.WithTimeout(t.Context(), 2*testTimeout)
	defer cancel()
	var rec rpc.Captured
	if err := c.Call(ctx, rpc.MethodExecute, rpc.ExecuteParams{Command: rpc.Command{Shell: script}, Wait: true}, &rec); err != nil {
		t.Fatalf("%v; stderr of the server: %s", err, x.stderrText())
	}
	if killed := number(t, dir, "memory.oom_control", "oom_kill "); killed == 0 {
		t.Error("the kernel killed no process, so the memory was sufficient")
	}
	if rec.Signal == nil && (rec.ExitCode == nil || *rec.ExitCode != 7) || rec.Signal != nil && *rec.Signal != "SIGKILL" || len(rec.Survivors) > 0 {
		t.Errorf("%+v", rec.Completion)
	}
	start := time.Now()
	var again rpc.Captured
	if err := c.Call(ctx, rpc.MethodExecute, rpc.ExecuteParams{Command: rpc.Command{Shell: "echo again"}, Wait: true}, &again); err != nil || *again.Stdout != "again\n" {
		t.Errorf("after %v: %+v, %v", time.Since(start), again, err)
	}
	x.signal(syscall.SIGINT)
	x.expectExit(0)
}
