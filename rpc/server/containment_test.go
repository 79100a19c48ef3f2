//go:build linux

package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
)

// held runs a test under every containment that covers more than a process group, with a server
// for each.
func held(t *testing.T, f func(t *testing.T, s *service, h *process.Host)) {
	for _, kind := range []process.Containment{process.Cgroup, process.Marker} {
		t.Run(string(kind), func(t *testing.T) {
			h, err := process.Open(process.Options{Containment: kind})
			if err != nil {
				if slices.Contains(strings.Split(os.Getenv("RUNNEL_TEST_REQUIRE"), ","), string(kind)) {
					t.Fatal(err)
				}
				t.Skip(err)
			}
			t.Cleanup(func() { // after the server's own
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			})
			f(t, serve(t, func(set *settings) { set.Session.Host = h }), h)
		})
	}
}

// heldTogether is held with all servers at once. Tests with process groups must not run meanwhile:
// this process is the parent of all orphans, of which each host reaps those of its trees.
func heldTogether(t *testing.T, f func(t *testing.T, s *service, h *process.Host)) {
	before := usedResources()
	t.Cleanup(func() { awaitReleased(t, before) })
	parallelTests.Store(t.Name(), true) // the resources of one server cannot be counted
	held(t, func(t *testing.T, s *service, h *process.Host) {
		t.Parallel()
		f(t, s, h)
	})
}

// runaway is a program that leaves its process group in every way; see process/testdata/runaway.
func runaway(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "runaway")
	if out, err := exec.Command("go", "build", "-o", path, "../../process/testdata/runaway").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// tagged lists the living processes that have an argument.
func tagged(tag string) (pids []int) {
	for pid := range processes() {
		args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if slices.ContainsFunc(bytes.Split(args, []byte{0}), func(arg []byte) bool { return string(arg) == tag }) && alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestNoProcessOutlivesItsSession: however a session ends and whatever its processes do, all of
// them have ended, and no other process was signaled.
func TestNoProcessOutlivesItsSession(t *testing.T) {
	program := runaway(t)
	rounds := rounds(40, 200)
	if testing.Short() {
		rounds = 20
	}
	held(t, func(t *testing.T, s *service, h *process.Host) {
		bystander := exec.Command("sleep", "600")
		if err := bystander.Start(); err != nil {
			t.Fatal(err)
		}
		var next atomic.Int64
		var all sync.WaitGroup
		for range 4 {
			p := s.dial(t)
			all.Go(func() {
				for i := int(next.Add(1)); i <= rounds; i = int(next.Add(1)) {
					if i%4 == 1 { // whose connection is cut
						q := s.dial(t)
						q.oneRunaway(program, i)
						continue
					}
					p.oneRunaway(program, i)
				}
			})
		}
		all.Wait()
		if !alive(bystander.Process.Pid) {
			t.Error("another process was signaled")
		}
		_ = bystander.Process.Kill()
		_ = bystander.Wait()
		eventually(t, "all children are reaped", func() bool { return len(children()) == 0 })
	})
}

// oneRunaway runs a session of a runaway, which uses the ways of the bits of i and ends in one
// of four.
func (p *peer) oneRunaway(program string, i int) {
	ways := []string{"fork"}
	for bit, way := range []string{"setsid", "ignore", "double", "clearenv", "close", "loop", "setpgid"} {
		if i*37>>bit&1 == 1 {
			ways = append(ways, way)
		}
	}
	end := []string{"cancel", "disconnect", "deadline", "exit"}[i%4]
	if end != "exit" {
		ways = append(ways, "stay")
	}
	tag := fmt.Sprintf("%s.%d.%d", filepath.Base(p.t.Name()), os.Getpid(), i)
	params := object{"command": []string{program, tag, strings.Join(ways, ",")}, "grace": 0.02}
	if end == "deadline" {
		params["timeout"] = 0.03
	}
	id := p.start(params)
	switch end {
	case "disconnect":
		p.reset()
		if !pollFor(releaseTimeout, func() bool { return len(tagged(tag)) == 0 }) {
			p.t.Errorf("%v, disconnected: %v live", ways, tagged(tag))
		}
		return
	case "cancel":
		var r rpc.CancelResult
		p.ok("cancel", object{"session_id": id}, &r)
		if left := tagged(tag); len(left) > 0 || len(r.Survivors) > 0 {
			p.t.Errorf("%v, canceled: %v live, %+v", ways, left, r)
		}
	}
	rec := p.completed(id)
	if left := tagged(tag); len(left) > 0 || len(rec.Survivors) > 0 {
		p.t.Errorf("%v, %s: %v live, %+v", ways, end, left, rec)
	}
}

// TestPausesLoseNoOutput: hundreds of pauses of a busy tree, some processes of which left the
// process group, lose no output.
func TestPausesLoseNoOutput(t *testing.T) {
	last, pairs := rounds(100000, 300000), rounds(300, 1000)
	var want strings.Builder
	for n := range last {
		want.WriteString(strconv.Itoa(n+1) + "\n")
	}
	heldTogether(t, func(t *testing.T, s *service, h *process.Host) {
		p, q := s.dial(t), s.dial(t)
		id := p.start(object{"command": fmt.Sprintf("setsid seq %d >&2 & seq %d; wait; read end", last, last), "stdin": "pipe"})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range pairs {
				for _, c := range []string{"PAUSE", "RESUME"} {
					q.ok("control", object{"session_id": id, "type": c}, nil)
				}
			}
			q.ok("write", object{"session_id": id, "data": "end\n"}, nil)
		}()
		x := &transcript{id: id}
		p.follow(x)
		<-done
		if x.stdout() != want.String() || x.stderr() != want.String() {
			t.Errorf("%d and %d bytes of %d", len(x.stdout()), len(x.stderr()), want.Len())
		}
		if r := x.record; r.Reason != "exited" || len(r.Survivors) > 0 {
			t.Errorf("%+v", r)
		}
	})
}

// TestPausesHoldDeadlines: a deadline does not count the time of a pause.
func TestPausesHoldDeadlines(t *testing.T) {
	heldTogether(t, func(t *testing.T, s *service, h *process.Host) {
		p := s.dial(t)
		id, timeout := p.startPaused(800*time.Millisecond, 50, func(seconds float64) object {
			return object{"command": "echo ready; exec sleep 1000", "timeout": seconds}
		})
		pause := timeout + timeout/4
		time.Sleep(pause)
		var st rpc.SessionStatus
		p.ok("status", object{"session_id": id}, &st)
		if st.State != "paused" {
			t.Fatalf("%+v", st)
		}
		p.ok("control", object{"type": "RESUME"}, nil)
		if r := p.completed(id); r.Reason != "timeout" || r.ExecutionTime < (timeout+pause).Seconds() {
			t.Errorf("%+v", r)
		}
	})
}

// TestLimits: a limit that cannot be enforced is refused, and a limit that ended a session is in
// its record.
func TestLimits(t *testing.T) {
	held(t, func(t *testing.T, s *service, h *process.Host) {
		p := s.dial(t)
		var unenforced *process.LimitError
		if _, err := h.Enforce(process.Limits{process.MemoryBytes: 1}); errors.As(err, &unenforced) {
			t.Skip(err)
		}
		x := p.run(object{"command": []string{"tail", "/dev/zero"}, "limits": object{"memory_bytes": 32 << 20, "processes": 5}})
		if r := x.record; r.Reason != "limit" || r.Limit != "memory_bytes" || r.Status != "failed" ||
			deref(r.Signal) != "SIGKILL" || r.Escalated {
			t.Errorf("%+v", r)
		}
		var st rpc.SessionStatus
		p.ok("status", object{"session_id": x.id}, &st)
		if len(st.Limits) != 2 || st.Limits[0].Limit != "memory_bytes" || st.Limits[0].Value != 32<<20 || !strings.HasPrefix(st.Limits[0].By, "cgroup") {
			t.Errorf("%+v", st.Limits)
		}
	})
}

// TestConcurrentSessionsLeaveNoProcess: hundreds of sessions that are started and canceled leave no
// process, descriptor or goroutine.
func TestConcurrentSessionsLeaveNoProcess(t *testing.T) {
	sessions := int64(rounds(100, 1000))
	held(t, func(t *testing.T, s *service, h *process.Host) {
		var next atomic.Int64
		var all sync.WaitGroup
		for range 8 {
			p := s.dial(t)
			all.Go(func() {
				for next.Add(1) <= sessions {
					id := p.start(object{"command": "setsid sleep 1000 & exec sleep 1000", "grace": 0})
					p.ok("cancel", object{"session_id": id}, nil)
				}
			})
		}
		all.Wait()
		eventually(t, "all children are reaped", func() bool { return len(children()) == 0 })
	})
}
