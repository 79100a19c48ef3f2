//go:build linux

package main

import (
	"context"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// exhaust takes all descriptors of a server: it may have 128, of which idle connections take what is left.
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
	lowest := func() (fd int) { // that is free
		for ; ; fd++ {
			if _, err := os.Lstat("/proc/" + strconv.Itoa(pid) + "/fd/" + strconv.Itoa(fd)); err != nil {
				return fd
			}
		}
	}
	if !poll(func() bool { // a server that holds fewer idle connections is bounded by what it has
		n := lowest()
		bound(min(n, 128))
		return n == lowest()
	}) {
		t.Fatal("it closes what it has")
	}
	return func() {
		for _, c := range idle {
			_ = c.Close()
		}
		_ = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &old, nil)
	}
}

// Issue 8, section 1: a tree whose leader ignores SIGTERM, and of which a member called setsid, is dead when cancel is answered,
// though the server has no descriptor left.
func TestCancelWithoutFreeDescriptors(t *testing.T) {
	for _, kind := range []process.Containment{process.Cgroup, process.Marker} {
		t.Run(string(kind), func(t *testing.T) {
			h, err := process.Open(process.Options{Containment: kind})
			if err != nil {
				t.Skip(err)
			}
			_ = h.Close()
			p := newPlace(t)
			server, ready := p.serve(t, "--containment="+string(kind))
			var d net.Dialer
			c, err := client.Dial(t.Context(), socketURL, client.Options{Dial: func(ctx context.Context) (net.Conn, error) {
				return d.DialContext(ctx, "unix", p.socket())
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
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
			err = c.Call(t.Context(), rpc.MethodCancel, rpc.CancelParams{SessionID: started.SessionID, Grace: rpc.Seconds{Set: true, D: 1e8}}, &res)
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
					t.Errorf("process %s lives", pid)
					_ = syscall.Kill(n, syscall.SIGKILL)
				}
			}
			server.signal(syscall.SIGTERM)
			server.exits(0)
		})
	}
}

// A process that even SIGKILL does not end is named in the answer to cancel, and makes the exit status of the server 1.
func TestSurvivorsAreAFailureOfTheServer(t *testing.T) {
	dir := "/sys/fs/cgroup/freezer/runnel-test." + strconv.Itoa(os.Getpid())
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skip("NO FREEZER of version 1, so this is not tested: ", err)
	}
	thaw := func() { _ = os.WriteFile(dir+"/freezer.state", []byte("THAWED"), 0) }
	t.Cleanup(func() {
		thaw()
		if !poll(func() bool { return os.Remove(dir) == nil }) {
			t.Error(dir, "is left")
		}
	})
	p := newPlace(t)
	server, _ := p.serve(t, "--containment=marker")
	x := p.runnel(t, "run", "--detach", "-c", "echo $$ >"+dir+"/tasks; echo $$ >frozen; echo FROZEN >"+dir+"/freezer.state; sleep 600")
	id := strings.TrimSpace(x.line())
	awaitLines(t, p.path("frozen"), 1)
	if !poll(func() bool {
		text, _ := os.ReadFile(dir + "/freezer.state")
		return string(text) == "FROZEN\n"
	}) {
		t.Fatal("it is not frozen")
	}
	pid, _ := os.ReadFile(p.path("frozen"))
	c := p.runnel(t, "cancel", "--grace=0s", id)
	c.exits(1)
	if said := c.errors(); !strings.Contains(said, strings.TrimSpace(string(pid))) {
		t.Errorf("the survivor %s is not named: %s", pid, said)
	}
	server.signal(syscall.SIGTERM)
	server.exits(1)
	if said := server.errors(); !strings.Contains(said, "still run") {
		t.Errorf("%s", said)
	}
	thaw()
	gone(t, strings.TrimSpace(string(pid)))
}
