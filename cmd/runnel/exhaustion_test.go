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

// groupServer is a server in a control group with a limit.
type groupServer struct {
	*program
	client *client.Client
}

// serveIn starts a server in a control group, and connects to it.
func (p *testDir) serveIn(t *testing.T, dir string, args ...string) *groupServer {
	t.Helper()
	script := `echo $$ >"$0/cgroup.procs" && exec runnel serve --listen=127.0.0.1:0 --ready-file=ready "$@"`
	x := p.start(t, "/bin/sh", append([]string{"-c", script, dir}, args...)...)
	if !poll(func() bool { r, _ := readReady(p.path("ready")); return r.PID == x.Process.Pid }) {
		t.Fatal("not ready:", x.stderrText())
	}
	return &groupServer{x, dialSocket(t, p.socket())}
}

// call sends a request and returns an error reply. Any other error fails the test.
func (s *groupServer) call(method string, params, result any) error {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	err := s.client.Call(ctx, method, params, result)
	var refused *rpc.Error
	if err != nil && !errors.As(err, &refused) {
		s.t.Fatalf("%s: %v; stderr of the server: %s", method, err, s.stderrText())
	}
	return err
}

// execute starts a session that does not end with the connection.
func (s *groupServer) execute(params rpc.ExecuteParams) (r rpc.ExecuteResult, err error) {
	params.OnDisconnect = rpc.OnDisconnectKeep
	err = s.call(rpc.MethodExecute, params, &r)
	return r, err
}

// mustExecute is execute, and fails the test if that fails.
func (s *groupServer) mustExecute(params rpc.ExecuteParams) (id string) {
	s.t.Helper()
	r, err := s.execute(params)
	if err != nil {
		s.t.Fatal(err)
	}
	return r.SessionID
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
		s := newTestDir(t).serveIn(t, dir, "--containment="+kind, "--drain=0s")
		other := s.mustExecute(rpc.ExecuteParams{Command: rpc.Command{Argv: []string{"cat"}}, Stdin: rpc.StdinPipe})
		tag := strconv.Itoa(600 + os.Getpid())
		greedy := s.mustExecute(rpc.ExecuteParams{Command: rpc.Command{Shell: "yes " + tag + " | head -200 | xargs -P 200 -n 1 sleep"}})
		full := func() bool { return number(t, dir, "pids.events", "max ") > 0 }
		if !poll(full) {
			t.Fatalf("%d processes run, and no fork has failed", sleepers(tag))
		}
		for range 20 {
			s.requestsWithoutProcessIDs(greedy, other, tag)
		}
		var canceled rpc.CancelResult
		if err := s.call(rpc.MethodCancel, rpc.CancelParams{SessionID: greedy}, &canceled); err != nil || len(canceled.Survivors) > 0 {
			t.Errorf("cancel: %+v, %v", canceled, err)
		}
		if n := sleepers(tag); n > 0 {
			t.Errorf("%d processes are left", n)
		}
		var st rpc.SessionStatus
		if err := s.call(rpc.MethodStatus, rpc.SessionParams{SessionID: other}, &st); err != nil || st.State != "running" {
			t.Errorf("the other session: %+v, %v", st, err)
		}
		s.executesAfterTheCancel(kind)
		s.signal(syscall.SIGINT)
		s.expectExit(0)
	})
}

// requestsWithoutProcessIDs sends requests of each kind while the session greedy has used up all
// process ids.
func (s *groupServer) requestsWithoutProcessIDs(greedy, other, tag string) {
	s.t.Helper()
	var refused *rpc.Error
	if r, err := s.execute(rpc.ExecuteParams{Command: rpc.Command{Argv: []string{"sleep", tag}}}); errors.As(err, &refused) {
		if refused.Code != rpc.CodeSpawnFailed || !strings.Contains(fmt.Sprint(refused.Data), "EAGAIN") {
			s.t.Errorf("execute: %+v", refused)
		}
	} else if err == nil { // a process of the greedy session had ended
		_ = s.call(rpc.MethodCancel, rpc.CancelParams{SessionID: r.SessionID}, nil)
	}
	data := "x\n"
	if err := s.call(rpc.MethodWrite, rpc.WriteParams{SessionID: other, Data: &data}, nil); err != nil {
		s.t.Errorf("write: %v", err)
	}
	for _, typ := range []string{rpc.ControlPause, rpc.ControlResume} {
		if err := s.call(rpc.MethodControl, rpc.ControlParams{SessionID: greedy, Type: typ}, nil); err != nil {
			s.t.Errorf("%s: %v", typ, err)
		}
	}
}

// executesAfterTheCancel checks that execute works when the process ids are free again.
func (s *groupServer) executesAfterTheCancel(kind string) {
	s.t.Helper()
	var again rpc.ExecuteResult
	var err error
	works := func() bool {
		again, err = s.execute(rpc.ExecuteParams{Command: rpc.Command{Shell: "exit 3"}})
		return err == nil
	}
	// Under group, init reaps the orphans, which count until then.
	if !works() && (kind != string(process.Group) || !poll(works)) {
		s.t.Error(err)
	}
	var rec rpc.Completion
	if err := s.call(rpc.MethodWait, rpc.WaitParams{SessionID: again.SessionID}, &rec); err != nil || rec.ExitCode == nil || *rec.ExitCode != 3 {
		s.t.Errorf("execute after the cancel: %+v, %v", rec, err)
	}
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
	x := p.serveIn(t, dir, "--drain=0s")
	// 80 children of 3 MiB each, at the same time, after the server has set the score of the command.
	script := `until [ "$(cat /proc/$$/oom_score_adj)" -gt 0 ]; do sleep 0.01; done
i=0; while [ $i -lt 80 ]; do { head -c 3145728 /dev/zero; until [ -e ` + p.path("all") + ` ]; do sleep 1; done; } | tail -c 3145728 >/dev/null & i=$((i+1)); done
sleep 2; : >` + p.path("all") + `; wait; exit 7`
	ctx, cancel := context.WithTimeout(t.Context(), 2*testTimeout)
	defer cancel()
	var rec rpc.Captured
	if err := x.client.Call(ctx, rpc.MethodExecute, rpc.ExecuteParams{Command: rpc.Command{Shell: script}, Wait: true}, &rec); err != nil {
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
	if err := x.client.Call(ctx, rpc.MethodExecute, rpc.ExecuteParams{Command: rpc.Command{Shell: "echo again"}, Wait: true}, &again); err != nil || *again.Stdout != "again\n" {
		t.Errorf("after %v: %+v, %v", time.Since(start), again, err)
	}
	x.signal(syscall.SIGINT)
	x.expectExit(0)
}
