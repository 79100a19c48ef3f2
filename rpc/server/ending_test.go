//go:build linux

package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestLateOutput: output that a descendant writes after the command has exited is not lost.
func TestLateOutput(t *testing.T) {
	runParallel(t)
	if _, err := os.Stat("/bin/bash"); err != nil {
		t.Skip("requires bash")
	}
	s := serve(t)
	var all sync.WaitGroup
	for range 8 {
		p := s.dial(t)
		all.Go(func() {
			for range rounds(8, 25) {
				if x := p.run(object{"command": []string{"/bin/bash", "-c", "exec > >(cat); echo hi"}}); x.stdout() != "hi\n" {
					t.Errorf("%q", x.stdout())
				}
			}
		})
	}
	all.Wait()
}

// TestPipeHeldByDescendant: a descendant that keeps stdout open delays the end of the session
// only a little, and is killed.
func TestPipeHeldByDescendant(t *testing.T) {
	runParallel(t)
	s := serve(t)
	p := s.dial(t)
	for _, script := range []string{`sleep 1000 & echo hi`, `(trap "" TERM; sleep 1000) & echo hi`} {
		treeID := "RUNNEL_TREE=" + uuid.NewString()
		var x *transcript
		quick(t, 5*time.Second, script, func() {
			x = p.run(object{"command": script, "grace": 0.2, "env": object{"RUNNEL_TREE": treeID[12:]}})
		})
		if x.stdout() != "hi\n" || x.record.Reason != "exited" || x.record.Status != "completed" {
			t.Errorf("%q %+v", x.stdout(), x.record)
		}
		if left := processesOf(treeID); len(left) > 0 {
			t.Errorf("processes left: %v", left)
		}
	}
	// on_leader_exit "wait" waits for it, pipe or no pipe.
	for _, script := range []string{`(sleep 0.4; echo late) & echo hi`, `(exec >/dev/null 2>&1; sleep 0.4) & echo hi; echo late`} {
		begin := time.Now()
		x := p.run(object{"command": script, "on_leader_exit": "wait"})
		if x.stdout() != "hi\nlate\n" || time.Since(begin) < 400*time.Millisecond || x.record.Reason != "exited" {
			t.Errorf("%q after %v: %+v", x.stdout(), time.Since(begin), x.record)
		}
	}
}

// TestEscalation: SIGTERM is sent first, then SIGKILL after grace, and the record says so.
func TestEscalation(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	for _, test := range []struct {
		name, script string
		grace        float64
		escalated    bool
		signal       string // "": exit code 5
	}{
		{"obeys", `trap "exit 5" TERM; echo ready; while :; do sleep 0.01; done`, 20, false, ""},
		{"ignores", `trap "" TERM; echo ready; while :; do sleep 0.01; done`, 0.2, true, "SIGKILL"},
		{"a descendant ignores", `trap "exit 5" TERM; (trap "" TERM; echo ready; exec >/dev/null 2>&1; sleep 1000) & while :; do sleep 0.01; done`, 0.2, true, ""},
		{"no grace", `trap "" TERM; echo ready; while :; do sleep 0.01; done`, 0, true, "SIGKILL"},
		{"dies", `echo ready; exec sleep 1000`, 20, false, "SIGTERM"},
	} {
		for _, paused := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, paused %v", test.name, paused), func(t *testing.T) {
				treeID := "RUNNEL_TREE=" + uuid.NewString()
				id := p.started(object{"command": test.script, "env": object{"RUNNEL_TREE": treeID[12:]}})
				if paused {
					p.ok("control", object{"type": "PAUSE"}, nil)
				}
				begin := time.Now()
				var r rpc.CancelResult
				p.ok("cancel", object{"session_id": id, "grace": test.grace}, &r)
				if left := processesOf(treeID); len(left) > 0 {
					t.Errorf("answered while processes are left: %v", left)
				}
				if took := time.Since(begin); test.escalated && took.Seconds() < test.grace {
					t.Errorf("escalated after %v", took)
				}
				rec := p.completed(id)
				if r.Status != "canceled" || rec.Status != "canceled" || rec.Reason != "canceled" || r.Survivors == nil || len(r.Survivors) > 0 {
					t.Errorf("%+v, %+v", r, rec)
				}
				if rec.Escalated != test.escalated || r.Escalated != test.escalated {
					t.Errorf("escalated: %+v, %+v", r, rec)
				}
				if sig, code := deref(rec.Signal), rec.ExitCode; sig != test.signal || (code == nil) != (sig != "") || code != nil && *code != 5 {
					t.Errorf("signal %q, exit code %v", sig, code)
				}
				var again rpc.CancelResult
				p.ok("cancel", object{"session_id": id}, &again)
				if fmt.Sprint(again) != fmt.Sprint(r) {
					t.Errorf("%+v, and then %+v", r, again)
				}
			})
		}
	}
	// One that has ended by itself is answered with its own status.
	x := p.run(object{"command": "exit 3"})
	var r rpc.CancelResult
	p.ok("cancel", object{"session_id": x.id}, &r)
	var c rpc.ControlResult
	p.ok("control", object{"session_id": x.id, "type": "CANCEL"}, &c)
	if r.Status != "failed" || c.Status != "failed" {
		t.Errorf("%+v, %+v", r, c)
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// executed is the result of an execute with wait.
type executed struct {
	rpc.Completion
	Stdout string
}

// executeBatch executes n scripts in dir, in batches of 64, and checks the result of each.
func (p *peer) executeBatch(dir string, n int, script func(int) string, check func(int, executed)) {
	p.t.Helper()
	for from := 0; from < n; from += 64 {
		var items []string
		for i := from; i < min(from+64, n); i++ {
			items = append(items, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"execute","params":%s}`, i,
				text(object{"command": script(i), "wait": true, "cwd": dir})))
		}
		p.send("[%s]", strings.Join(items, ","))
		m := p.next("the answers", func(m *message) bool { return m.batch != nil })
		p.pending = nil
		if len(m.batch) != len(items) {
			p.t.Fatalf("%d answers to %d items", len(m.batch), len(items))
		}
		for _, a := range m.batch {
			var i int
			var r executed
			p.decode(a.ID, &i)
			p.decode(p.good(a).Result, &r)
			check(i, r)
		}
	}
}

// TestExitStatus: each exit code and each signal is in the record.
func TestExitStatus(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	dir := t.TempDir()
	p.executeBatch(dir, 256, func(i int) string { return fmt.Sprintf("exit %d", i) }, func(i int, r executed) {
		status := "failed"
		if i == 0 {
			status = "completed"
		}
		if r.ExitCode == nil || *r.ExitCode != i || r.Signal != nil || r.Reason != "exited" || r.Status != status || r.Escalated {
			t.Errorf("exit %d: %+v", i, r)
		}
	})
	var signals []int
	for n := 1; n <= 64; n++ {
		switch syscall.Signal(n) {
		case syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGURG, syscall.SIGWINCH, 32, 33:
		default:
			signals = append(signals, n)
		}
	}
	kill := func(i int) string { return fmt.Sprintf("ulimit -c 0; kill -%d $$; sleep 1000", signals[i]) }
	p.executeBatch(dir, len(signals), kill, func(i int, r executed) {
		want := unix.SignalName(syscall.Signal(signals[i]))
		if want == "" {
			want = fmt.Sprintf("SIG%d", signals[i])
		}
		if deref(r.Signal) != want || r.ExitCode != nil || r.Reason != "signaled" || r.Status != "failed" {
			t.Errorf("signal %d: %q %+v", signals[i], deref(r.Signal), r)
		}
	})
	var r executed
	p.ok("execute", object{"command": "exec no_such_program_here", "wait": true}, &r)
	if r.ExitCode == nil || *r.ExitCode != 127 || r.Reason != "exited" {
		t.Errorf("%+v", r)
	}
}

// TestUsage: the usage in the record is that of the command, or null.
func TestUsage(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	ballast := make([]byte, 16<<20)
	for i := range ballast {
		ballast[i] = byte(i)
	}
	var own int64
	for line := range strings.Lines(string(must(os.ReadFile("/proc/self/status")))) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &own); err == nil {
			own <<= 10
		}
	}
	x := p.run(object{"command": []string{"true"}})
	u := x.record.Usage
	if u.MaxRSSBytes != nil && *u.MaxRSSBytes >= own {
		t.Errorf("true took %d bytes, the server %d", *u.MaxRSSBytes, own)
	}
	if u.UserTime == nil || u.SystemTime == nil || *u.UserTime < 0 || *u.UserTime > 10 {
		t.Errorf("%+v", u)
	}
	x = p.run(object{"command": "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"})
	if u := x.record.Usage; u.UserTime == nil || *u.UserTime+*u.SystemTime <= 0 || *u.UserTime > x.record.ExecutionTime*4+1 {
		t.Errorf("%+v in %v s", u, x.record.ExecutionTime)
	}
	x = p.run(object{"command": "sleep 0.3"})
	if took := x.record.ExecutionTime; took < 0.3 || took > testTimeout.Seconds() {
		t.Errorf("took %v", took)
	}
	if ballast[1] != 1 {
		t.Error("unreachable")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestSpawnFailures: the error of a start has the path and the errno.
func TestSpawnFailures(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\nexit 0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "binary")
	if err := os.WriteFile(binary, []byte("\x00\x01\x02"), 0o755); err != nil {
		t.Fatal(err)
	}
	before := usedResources()
	for _, test := range []struct {
		params      object
		errno, path string
	}{
		{object{"command": []string{"/no/such/program"}}, "ENOENT", "/no/such/program"},
		{object{"command": []string{"no-such-program"}}, "ENOENT", "no-such-program"},
		{object{"command": []string{plain}}, "EACCES", plain},
		{object{"command": []string{dir}}, "EACCES", dir},
		{object{"command": []string{binary}}, "ENOEXEC", binary},
		{object{"command": []string{plain + "/x"}}, "ENOTDIR", plain + "/x"},
		{object{"command": []string{"true"}, "cwd": "/no/such/dir"}, "ENOENT", "/no/such/dir"},
		{object{"command": "true", "cwd": "/no/such/dir"}, "ENOENT", "/no/such/dir"},
		{object{"command": "true", "cwd": plain}, "ENOTDIR", plain},
		{object{"command": []string{"true"}, "env": object{"PATH": "/nowhere"}}, "ENOENT", "true"},
		{object{"command": []string{"/" + strings.Repeat("x", 5000)}}, "ENAMETOOLONG", "/" + strings.Repeat("x", 4095) + "…"},
	} {
		for _, wait := range []bool{false, true} {
			id := uuid.NewString()
			e := p.fails(-32008, "execute", with(test.params, "wait", wait, "session_id", id))
			if e.Data["errno"] != test.errno || e.Data["path"] != test.path {
				t.Errorf("%.100v: %.300v", test.params, e)
			}
			p.fails(-32002, "status", object{"session_id": id}) // it never was
		}
	}
	if m := p.call("pong", nil); m.Error != nil || len(p.pending) > 0 {
		t.Errorf("%s, and %d events of a session that does not exist", m.text, len(p.pending))
	}
	if n := s.registry.Running(); n != 0 {
		t.Errorf("%d slots taken", n)
	}
	awaitReleased(t, before)
	p.fails(-32602, "execute", object{"command": "true", "env": object{"A=B": "x"}})
	p.fails(-32602, "execute", object{"command": "true", "env": object{"": "x"}})
	p.fails(-32602, "execute", object{"command": "true", "env": object{"A": "x\x00y"}})
}
