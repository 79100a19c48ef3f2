//go:build linux

package main

import (
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
)

// exhaust uses up the descriptors of a server: it sets RLIMIT_NOFILE to 128, and opens idle
// connections.
func exhaust(t *testing.T, pid int, address string) (release func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		t.Fatal(err)
	}
	bound := func(n int) {
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(n), Max: old.Max}, nil); err != nil {
			t.Fatal(err)
		}
	}
	bound(128)
	var idle []net.Conn
	for range 128 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	lowest := func() (fd int) { // the lowest free descriptor
		for ; ; fd++ {
			if _, err := os.Lstat("/proc/" + strconv.Itoa(pid) + "/fd/" + strconv.Itoa(fd)); err != nil {
				return fd
			}
		}
	}
	if !poll(func() bool { // if the server closes idle connections, the limit is what it has
		n := lowest()
		bound(min(n, 128))
		return n == lowest()
	}) {
		t.Fatal("the server still has free descriptors")
	}
	return func() {
		for _, c := range idle {
			_ = c.Close()
		}
		_ = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &old, nil)
	}
}

// TestCancelWithoutFreeDescriptors: when cancel returns, a tree whose leader ignores SIGTERM and of
// which a process has called setsid has ended, even if the server has no free descriptor.
func TestCancelWithoutFreeDescriptors(t *testing.T) {
	for _, kind := range []process.Containment{process.Cgroup, process.Marker} {
		t.Run(string(kind), func(t *testing.T) {
			skipUnavailable(t, kind)
			p := newTestDir(t)
			server, ready := p.serve(t, "--containment="+string(kind))
			c := dialSocket(t, p.socket())
			const loop = `while :; do sleep 60 & wait; done`
			pids := p.path("pids")
			var started rpc.ExecuteResult
			params := rpc.ExecuteParams{Command: rpc.Command{Shell: `trap '' TERM; setsid sh -c 'trap "" TERM; echo $$ >>` + pids + `; ` + loop + `' & echo $$ >>` + pids + `; ` + loop}}
			if err := c.Call(t.Context(), rpc.MethodExecute, params, &started); err != nil {
				t.Fatal(err)
			}
			awaitLines(t, pids, 2)
			release := exhaust(t, server.Process.Pid, strings.TrimSuffix(strings.TrimPrefix(ready.URL, "ws://"), "/ws"))
			var res rpc.CancelResult
			err := c.Call(t.Context(), rpc.MethodCancel, rpc.CancelParams{SessionID: started.SessionID, Grace: rpc.Seconds{Set: true, D: 1e8}}, &res)
			release()
			if err != nil || res.Status != rpc.StatusCanceled || !res.Escalated || len(res.Survivors) > 0 || !res.SurvivorsVerified {
				t.Errorf("%+v, %v", res, err)
			}
			var rec rpc.Captured
			if err := c.Call(t.Context(), rpc.MethodWait, rpc.WaitParams{SessionID: started.SessionID}, &rec); err != nil || rec.Signal == nil || *rec.Signal != "SIGKILL" {
				t.Errorf("%+v, %v", rec, err)
			}
			text, _ := os.ReadFile(pids)
			for _, pid := range strings.Fields(string(text)) {
				if n, _ := strconv.Atoi(pid); syscall.Kill(n, 0) == nil {
					t.Errorf("process %s has not ended", pid)
					_ = syscall.Kill(n, syscall.SIGKILL)
				}
			}
			server.signal(syscall.SIGTERM)
			server.expectExit(0)
		})
	}
}

// TestSurvivors: a process that SIGKILL does not end is reported by cancel, and the exit status of
// the server is 1.
func TestSurvivors(t *testing.T) {
	t.Parallel()
	dir := "/sys/fs/cgroup/freezer/runnel-test." + strconv.Itoa(os.Getpid())
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skip("SKIPPED: no freezer controller of version 1: ", err)
	}
	thaw := func() { _ = os.WriteFile(dir+"/freezer.state", []byte("THAWED"), 0) }
	t.Cleanup(func() {
		thaw()
		if !poll(func() bool { return os.Remove(dir) == nil }) {
			t.Error("not removed:", dir)
		}
	})
	p := newTestDir(t)
	server, _ := p.serve(t, "--containment=marker")
	x := p.runnel(t, "run", "--detach", "-c", "echo $$ >"+dir+"/tasks; echo $$ >frozen; echo FROZEN >"+dir+"/freezer.state; sleep 600")
	id := strings.TrimSpace(x.readLine())
	awaitLines(t, p.path("frozen"), 1)
	if !poll(func() bool {
		text, _ := os.ReadFile(dir + "/freezer.state")
		return string(text) == "FROZEN\n"
	}) {
		t.Fatal("the process is not frozen")
	}
	pid, _ := os.ReadFile(p.path("frozen"))
	c := p.runnel(t, "cancel", "--grace=0s", id)
	c.expectExit(1)
	if text := c.stderrText(); !strings.Contains(text, strings.TrimSpace(string(pid))) {
		t.Errorf("the survivor %s is not reported: %s", pid, text)
	}
	server.signal(syscall.SIGTERM)
	server.expectExit(1)
	if text := server.stderrText(); !strings.Contains(text, "still run") {
		t.Errorf("stderr: %s", text)
	}
	thaw()
	awaitExit(t, strings.TrimSpace(string(pid)))
}
