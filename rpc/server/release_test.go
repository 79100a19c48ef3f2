//go:build linux

package server_test

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// tree returns a command with descendants that ignore SIGTERM, and the variable that all of them
// have in their environment.
func tree() (params object, treeID string) {
	treeID = "RUNNEL_TREE=" + uuid.NewString()
	script := `trap "" TERM HUP; sleep 1000 & (sleep 1000; :) & sh -c "sleep 1000; :" & echo ready; sleep 1000; :`
	return object{"command": script, "grace": 0.1, "env": object{"RUNNEL_TREE": treeID[len("RUNNEL_TREE="):]}}, treeID
}

// TestEndReleasesAllResources guards against incomplete cleanup on cancel and on every other end of
// a session: its tree has ended, and its slot, goroutines, descriptors and children are released
// while the server continues.
func TestEndReleasesAllResources(t *testing.T) {
	ends := map[string]func(t *testing.T, p *peer, id string){
		"cancel": func(t *testing.T, p *peer, id string) {
			p.ok("cancel", object{"session_id": id}, nil)
			closeWell(t, p)
		},
		"close frame": func(t *testing.T, p *peer, _ string) { closeWell(t, p) },
		"reset":       func(_ *testing.T, p *peer, _ string) { p.reset() },
		"half closed": func(_ *testing.T, p *peer, _ string) { _ = p.tcp.CloseWrite() },
		"binary message": func(t *testing.T, p *peer, _ string) {
			_ = p.write(websocket.MessageBinary, []byte("x"))
			p.closed(1003)
		},
		"requests in flight": func(t *testing.T, p *peer, id string) { inFlight(p, id); p.reset() },
		"paused":             func(t *testing.T, p *peer, id string) { p.ok("control", object{"type": "PAUSE"}, nil); p.reset() },
		"cancel in flight":   func(t *testing.T, p *peer, id string) { p.request("cancel", object{"session_id": id}); p.reset() },
		"timeout":            func(t *testing.T, p *peer, id string) { expire(t, p, object{"timeout": 0.3}, "timeout") },
		"stream_timeout":     func(t *testing.T, p *peer, id string) { expire(t, p, object{"stream_timeout": 0.3}, "stream_timeout") },
		"client never reads": func(t *testing.T, p *peer, id string) { flood(p); p.reset() },
		"stdin never read":   func(t *testing.T, p *peer, id string) { feedSleeper(p); p.reset() },
		"protocol error":     func(t *testing.T, p *peer, id string) { _, _ = p.conn.Write(bytes.Repeat([]byte{0xff}, 16)) },
		"unmasked and reset": func(t *testing.T, p *peer, id string) { _, _ = p.conn.Write([]byte{0x81, 0x01, 'x'}); p.reset() },
		"message half sent":  func(t *testing.T, p *peer, id string) { _, _ = p.conn.Write([]byte{0x81, 0x90, 1, 2}); p.reset() },
		"leader has exited":  func(t *testing.T, p *peer, id string) { p.start(object{"command": "sleep 1000 & exit 3"}); p.reset() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			before := usedResources()
			p := s.dial(t)
			params, treeID := tree()
			id := p.started(params)
			eventually(t, "the whole tree runs", func() bool { return len(processesOf(treeID)) >= 5 })
			end(t, p, id)
			s.idle()
			_ = p.ws.CloseNow()
			awaitReleased(t, before)
			if left := processesOf(treeID); len(left) > 0 {
				t.Errorf("processes left: %v", left)
			}
			if n := s.registry.Running(); n != 0 {
				t.Errorf("%d slots taken", n)
			}
			again := s.dial(t)
			if x := again.run(object{"command": "echo again"}); x.stdout() != "again\n" {
				t.Errorf("the server does not work any more: %q", x.stdout())
			}
		})
	}
}

func closeWell(t *testing.T, p *peer) {
	t.Helper()
	if err := p.ws.Close(websocket.StatusNormalClosure, "bye"); err != nil {
		t.Errorf("close: %v", err)
	}
}

// inFlight sends requests of every kind that waits.
func inFlight(p *peer, id string) {
	p.request("wait", object{"session_id": id})
	p.request("wait", object{"session_id": id, "timeout": 100, "capture_bytes": 10})
	p.request("execute", object{"command": "sleep 1000", "wait": true})
	p.send(`[{"jsonrpc":"2.0","id":1,"method":"wait","params":{"session_id":%q}},{"jsonrpc":"2.0","id":2,"method":"pong"}]`, id)
	p.ok("status", object{"session_id": id}, nil) // all of them were begun
}

// expire runs another tree, which a deadline ends.
func expire(t *testing.T, p *peer, deadline object, reason string) {
	t.Helper()
	params, treeID := tree()
	for k, v := range deadline {
		params[k] = v
	}
	x := p.run(params)
	if x.record.Reason != reason || x.record.Status != "failed" || !x.record.Escalated || len(processesOf(treeID)) > 0 {
		t.Errorf("%+v, processes left: %v", x.record, processesOf(treeID))
	}
	p.reset()
}

// flood runs a command with endless output and reads none of it.
func flood(p *peer) {
	p.start(object{"command": "yes"})
	p.start(object{"command": "exec yes >&2", "slow_client": "drop"})
}

// feedSleeper fills the stdin of a command that never reads it: pipe, queue and pending writes.
func feedSleeper(p *peer) {
	id := p.start(object{"command": []string{"sleep", "1000"}, "stdin": "pipe"})
	for range 3 {
		p.request("write", object{"session_id": id, "data": strings.Repeat("x", 600<<10)})
	}
	p.ok("status", object{"session_id": id}, nil)
}

// TestShutdownReleasesAllResources checks the same when Shutdown has returned.
func TestShutdownReleasesAllResources(t *testing.T) {
	before := usedResources()
	s := serve(t)
	var treeIDs []string
	var peers []*peer
	for i := range 3 {
		p := s.dial(t)
		params, treeID := tree()
		id := p.started(params)
		inFlight(p, id)
		if i == 0 { // the shutdown waits for this one, until its timeout
			flood(p)
			feedSleeper(p)
		}
		treeIDs, peers = append(treeIDs, treeID), append(peers, p)
	}
	s.shutdown(0)
	for _, treeID := range treeIDs {
		if left := processesOf(treeID); len(left) > 0 {
			t.Errorf("processes left: %v", left)
		}
	}
	if n := s.registry.Running(); n != 0 {
		t.Errorf("%d slots taken", n)
	}
	for _, p := range peers {
		_ = p.ws.CloseNow()
	}
	awaitReleased(t, before)
}

// TestPanicReleasesAllResources checks that a panic in a handler is an internal error for the
// client and has no other effect; the slot is released.
func TestPanicReleasesAllResources(t *testing.T) {
	var panics panicking
	s := servePanicking(t, &panics)
	for _, in := range []string{"authorize", "attach", "begin", "begun"} {
		t.Run(in, func(t *testing.T) { panicInExecute(t, s, &panics, in) })
	}
	for _, method := range []string{"control", "status", "cancel"} {
		t.Run(method, func(t *testing.T) { panicAfterFind(t, s, &panics, method) })
	}
}

func servePanicking(t *testing.T, panics *panicking) *service {
	return serve(t, func(set *settings) {
		set.Session.MaxSessions = 1
		set.Checkpoint = panics.at
		set.Server.Authorize = func(_ access.Identity, method string, _ any) error {
			if method == "execute" {
				panics.at("authorize")
			}
			return nil
		}
	})
}

// expectPanic checks that the server has logged the panic of a handler, and nothing else.
func (s *service) expectPanic(t *testing.T) {
	t.Helper()
	if text := s.log.take(); strings.Count(text, "handler panicked") != 1 || !strings.Contains(text, "as asked") {
		t.Errorf("logged: %s", text)
	}
}

// panicInExecute panics at a checkpoint of execute. If the session has begun, it runs, attached to
// the connection.
func panicInExecute(t *testing.T, s *service, panics *panicking, in string) {
	before := usedResources()
	p := s.dial(t)
	panics.in.Store(in)
	params, treeID := tree()
	for _, wait := range []bool{false, true} {
		p.fails(-32603, "execute", with(params, "wait", wait))
		s.expectPanic(t)
		if in == "begun" {
			p.fails(-32003, "execute", params) // the session runs
			break
		}
		s.idle()
	}
	panics.in.Store("")
	p.reset()
	s.idle()
	awaitReleased(t, before)
	if left := processesOf(treeID); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
	again := s.dial(t)
	if x := again.run(object{"command": "echo again"}); x.stdout() != "again\n" {
		t.Errorf("the server does not work any more: %q", x.stdout())
	}
	again.reset()
}

// panicAfterFind panics when another method has found its session, which is not affected.
func panicAfterFind(t *testing.T, s *service, panics *panicking, method string) {
	before := usedResources()
	p := s.dial(t)
	params, treeID := tree()
	id := p.started(params)
	panics.in.Store("find")
	params = object{"session_id": id}
	if method == "control" {
		params["type"] = "PAUSE"
	}
	p.fails(-32603, method, params)
	panics.in.Store("")
	s.expectPanic(t)
	p.ok("control", object{"type": "PAUSE", "session_id": id}, nil)
	p.ok("control", object{"type": "RESUME"}, nil)
	p.reset()
	s.idle()
	awaitReleased(t, before)
	if left := processesOf(treeID); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
}

// panicking panics at the one checkpoint that it contains.
type panicking struct{ in atomic.Value }

func (p *panicking) at(checkpoint string) {
	if in, _ := p.in.Load().(string); in == checkpoint {
		panic("as asked")
	}
}
