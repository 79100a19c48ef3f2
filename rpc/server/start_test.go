//go:build linux

package server_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// blocked is a command whose exec blocks.
type blocked struct {
	program string // what is executed
	path    string // what it waits for
	release func()
}

// eachBlocked runs f for a command that waits for a lease on its program, and on an interpreter of
// each kind.
func eachBlocked(t *testing.T, f func(t *testing.T, b blocked)) {
	t.Run("program", func(t *testing.T) {
		path := script(t, t.TempDir(), "program", "#!/bin/sh\nsleep 60\n", 0o755)
		f(t, blocked{path, path, lease(t, path)})
	})
	t.Run("interpreter of a script", func(t *testing.T) {
		dir := t.TempDir()
		shell := filepath.Join(dir, "shell")
		copyOf(t, "/bin/sh", shell, 0o755)
		middle := script(t, dir, "middle", "#! "+shell+" -e\nsleep 60\n", 0o755)
		path := script(t, dir, "program", "#!"+middle+"\nsleep 60\n", 0o755)
		f(t, blocked{path, shell, lease(t, shell)})
	})
	t.Run("executable only", func(t *testing.T) {
		asNobody(t, func() string {
			dir := anybodys(t)
			path := filepath.Join(dir, "program")
			copyOf(t, "/bin/sleep", path, 0o711)
			return path
		}, func(path string, release func()) { f(t, blocked{path, path, release}) })
	})
}

// anybodys returns a directory that every user may read.
func anybodys(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rn")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// asNobody makes a program as root, takes a lease on it, and runs the test again as a user who
// may execute it but not read it.
func asNobody(t *testing.T, program func() string, f func(path string, release func())) {
	t.Helper()
	const variable = "RUNNEL_TEST_NOBODY"
	if path := os.Getenv(variable); path != "" {
		f(path, func() {
			_, _ = os.Stdout.WriteString("release\n")
		})
		return
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: requires root, to run as another user")
	}
	path := program()
	release := lease(t, path)
	binary := filepath.Join(filepath.Dir(path), "test")
	copyOf(t, "/proc/self/exe", binary, 0o755)
	name := strings.ReplaceAll(strings.ReplaceAll(t.Name(), "_", " "), "/", "$/^")
	cmd := exec.Command(binary, "-test.v", "-test.run=^"+strings.ReplaceAll(name, " ", "_")+"$")
	cmd.Env = append(os.Environ(), variable+"="+path, "HOME=/", "TMPDIR=/tmp", "RUNNEL_TEST_CONTAINMENT=")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out := &watcher{text: "release\n", f: release}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil || !strings.Contains(out.all.String(), "--- PASS: "+t.Name()) {
		t.Errorf("as user nobody: %v\n%s", err, out.all.String())
	}
}

// watcher is a writer that calls f when text was written.
type watcher struct {
	all  strings.Builder
	text string
	f    func()
}

func (w *watcher) Write(b []byte) (int, error) {
	w.all.Write(b)
	if strings.Contains(string(b), w.text) {
		w.f()
	}
	return len(b), nil
}

// waits executes b and returns the id of the request and of the session, which is starting.
func (p *peer) waits(b blocked) (request, id string) {
	p.t.Helper()
	id = uuid.NewString()
	request = p.request("execute", object{"command": []string{b.program, "60"}, "session_id": id})
	var st rpc.SessionStatus
	p.ok("status", object{"session_id": id}, &st)
	if st.State != "starting" || st.PID != 0 || st.PGID != 0 || st.StartedAt == "" {
		p.t.Errorf("status: %+v", st)
	}
	var list rpc.ListResult
	p.ok("list", object{"state": "starting"}, &list)
	if len(list.Sessions) != 1 || list.Sessions[0].SessionID != id {
		p.t.Errorf("list: %+v", list)
	}
	return request, id
}

// TestBlockedStartDelaysNoRequest: a start that waits for a file delays no other request, and
// can be canceled.
func TestBlockedStartDelaysNoRequest(t *testing.T) {
	eachBlocked(t, func(t *testing.T, b blocked) {
		s := serve(t)
		p, other := s.dial(t), s.dial(t)
		running := other.started(object{"command": "echo ready; exec cat", "stdin": "pipe"})
		execute, id := p.waits(b)
		for range 20 {
			for _, peer := range []*peer{p, other} {
				if x := peer.run(object{"command": []string{"true"}}); x.record.Reason != "exited" {
					t.Errorf("%+v", x.record)
				}
			}
		}
		other.ok("write", object{"session_id": running, "data": "x\n"}, nil)
		other.event("process.output", running)
		var canceled rpc.CancelResult
		other.ok("cancel", object{"session_id": id}, &canceled)
		if canceled.Status != "canceled" || canceled.Escalated || len(canceled.Survivors) > 0 {
			t.Errorf("%+v", canceled)
		}
		p.bad(-32800, p.reply(execute))
		if !pollFor(releaseTimeout, func() bool { return s.registry.Running() == 1 }) {
			t.Errorf("%d slots are taken", s.registry.Running())
		}
		p.fails(-32002, "status", object{"session_id": id})
		other.ok("cancel", object{"session_id": running}, nil)
	})
}

// TestManyBlockedStartsDelayNoRequest: the delays of many blocked starts on a connection do not
// add up.
func TestManyBlockedStartsDelayNoRequest(t *testing.T) {
	path := script(t, t.TempDir(), "program", "#!/bin/sh\n", 0o755)
	lease(t, path)
	const starts = 90 // 900 ms if each delays the next one by startInline
	p := serve(t).dial(t)
	began := time.Now()
	for range starts {
		p.request("execute", object{"command": []string{path}})
	}
	var list rpc.ListResult
	p.ok("list", object{"state": "starting", "limit": 1000}, &list)
	if took := time.Since(began); len(list.Sessions) != starts || took > 450*time.Millisecond {
		t.Errorf("%d are starting, replied after %v", len(list.Sessions), took)
	}
}

// TestStartTimeout: a start that takes too long fails, and the error names the file.
func TestStartTimeout(t *testing.T) {
	eachBlocked(t, func(t *testing.T, b blocked) {
		s := serve(t, func(set *settings) { set.Session.StartTimeout = 100 * time.Millisecond })
		p := s.dial(t)
		for _, wait := range []bool{false, true} {
			e := p.fails(-32008, "execute", object{"command": []string{b.program, "60"}, "wait": wait})
			if e.Data["errno"] != "ETIMEDOUT" || e.Data["path"] != b.path {
				t.Errorf("%+v", e)
			}
		}
		if !pollFor(releaseTimeout, func() bool { return s.registry.Running() == 0 }) {
			t.Errorf("%d slots are taken", s.registry.Running())
		}
	})
}

// TestControlsWaitForTheStart: requests to a session that starts slowly are carried out in order
// after the start.
func TestControlsWaitForTheStart(t *testing.T) {
	eachBlocked(t, func(t *testing.T, b blocked) {
		p := serve(t).dial(t)
		execute, id := p.waits(b)
		var all []string
		for range 10 {
			for _, what := range []string{"PAUSE", "RESUME"} {
				all = append(all, p.request("control", object{"session_id": id, "type": what}))
			}
		}
		all = append(all, p.request("control", object{"session_id": id, "type": "PAUSE"}))
		dropped := p.request("control", object{"session_id": id, "type": "SIGNAL", "signal": "SIGKILL"})
		p.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%s}}`, dropped)
		p.bad(-32800, p.reply(dropped))
		b.release()
		p.good(p.reply(execute))
		for _, request := range all {
			p.good(p.reply(request))
		}
		var st rpc.SessionStatus
		p.ok("status", object{"session_id": id}, &st)
		if st.State != "paused" || st.PID == 0 {
			t.Errorf("%+v", st)
		}
		var states []string
		for range 1 + len(all) {
			m := p.next("a change", func(m *message) bool { return m.session == id && m.Method != "" })
			states = append(states, strings.TrimPrefix(m.Method, "process."))
		}
		if want := "started" + strings.Repeat(" paused resumed", 10) + " paused"; strings.Join(states, " ") != want {
			t.Errorf("%v", states)
		}
		p.ok("cancel", object{"session_id": id, "grace": 0}, nil)
	})
}

// TestBlockedStartIsAbandoned: a canceled execute and a lost connection end a blocked start.
func TestBlockedStartIsAbandoned(t *testing.T) {
	eachBlocked(t, func(t *testing.T, b blocked) {
		s := serve(t)
		p := s.dial(t)
		execute, _ := p.waits(b)
		p.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%s}}`, execute)
		p.bad(-32800, p.reply(execute))
		free := func() bool { return s.registry.Running() == 0 }
		if !pollFor(releaseTimeout, free) {
			t.Error("the slot is taken after process.canceled")
		}
		_, id := p.waits(b)
		p.reset()
		if !pollFor(releaseTimeout, free) {
			t.Error("the slot is taken after the disconnect")
		}
		s.dial(t).fails(-32002, "status", object{"session_id": id})
	})
}

// TestShutdownDuringBlockedStart: a shutdown ends a blocked start.
func TestShutdownDuringBlockedStart(t *testing.T) {
	eachBlocked(t, func(t *testing.T, b blocked) {
		s := serve(t)
		p := s.dial(t)
		execute, _ := p.waits(b)
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.shutdown(0)
		}()
		p.bad(-32010, p.reply(execute))
		p.closed(websocket.StatusGoingAway) // the peer closes too, or the server waits for it
		select {
		case <-done:
		case <-time.After(testTimeout):
			t.Fatal("the shutdown waits")
		}
	})
}

// TestBlockedStartKeepsItsSlot: a start that is blocked in a system call keeps its slot until
// the call returns, and status reports it.
func TestBlockedStartKeepsItsSlot(t *testing.T) {
	dir, release := silentMount(t)
	s := serve(t, func(set *settings) {
		set.Session.StartTimeout = 300 * time.Millisecond
		set.Session.MaxSessions = 2
	})
	p := s.dial(t)
	id := uuid.NewString()
	for range 2 { // the second finds the first
		e := p.fails(-32008, "execute", object{"command": []string{"true"}, "cwd": dir, "session_id": id})
		if e.Data["errno"] != "ETIMEDOUT" || e.Data["path"] != dir {
			t.Errorf("%+v", e)
		}
	}
	var st rpc.SessionStatus
	p.ok("status", object{"session_id": id}, &st)
	if st.State != "starting" || s.registry.Running() != 1 {
		t.Errorf("%+v, %d slots are taken", st, s.registry.Running())
	}
	p.fails(-32008, "wait", object{"session_id": id})
	p.fails(-32008, "read", object{"session_id": id})
	p.fails(-32005, "control", object{"session_id": id, "type": "PAUSE"})
	p.ok("cancel", object{"session_id": id}, nil)
	other := p.request("execute", object{"command": []string{dir + "/program"}})
	p.fails(-32003, "execute", object{"command": []string{"true"}})
	p.bad(-32008, p.reply(other))
	release()
	if !pollFor(releaseTimeout, func() bool { return s.registry.Running() == 0 }) {
		t.Fatal("the slots are taken")
	}
	p.fails(-32002, "status", object{"session_id": id})
	p.run(object{"command": []string{"true"}, "session_id": id})
}
