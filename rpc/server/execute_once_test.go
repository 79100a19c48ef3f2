//go:build linux

package server_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestExecuteTwiceStartsOneProcess: the same execute on two connections at once runs the command
// once, and both get all of its output.
func TestExecuteTwiceStartsOneProcess(t *testing.T) {
	runParallel(t)
	s := serve(t)
	peers := []*peer{s.dial(t), s.dial(t)}
	dir := t.TempDir()
	for range 100 {
		id := uuid.NewString()
		marks := filepath.Join(dir, id)
		params := object{"command": "echo begun >>" + marks + "; echo done", "session_id": id}
		asked := []string{peers[0].request("execute", params), peers[1].request("execute", params)}
		var r [2]rpc.ExecuteResult
		for i, p := range peers {
			m := p.good(p.reply(asked[i]))
			p.asDocumented("execute", m)
			p.decode(m.Result, &r[i])
			x := &transcript{id: id}
			p.follow(x)
			if x.stdout() != "done\n" || x.record.Status != "completed" || len(x.gaps) > 0 {
				t.Errorf("%q, %+v", x.stdout(), x.record)
			}
		}
		if r[0].Created == r[1].Created || r[0].PID != r[1].PID || r[0].PID == 0 {
			t.Errorf("%+v and %+v", r[0], r[1])
		}
		if b, err := os.ReadFile(marks); err != nil || string(b) != "begun\n" {
			t.Errorf("%q, %v", b, err)
		}
	}
}

// TestRetryAfterALostReply: a retry gets the log from its start, whether the command still runs
// or not. Other params with that id are refused without effect.
func TestRetryAfterALostReply(t *testing.T) {
	runParallel(t)
	s := serve(t)
	for _, over := range []bool{false, true} {
		p, q := s.dial(t), s.dial(t)
		params := object{"command": "echo one; read x; echo two; exit 3", "stdin": "pipe", "session_id": uuid.NewString(), "on_disconnect": "keep"}
		id := params["session_id"].(string)
		p.request("execute", params)
		eventually(t, "the session exists", func() bool { return q.call("status", object{"session_id": id}).Error == nil })
		p.reset()
		if over {
			q.ok("write", object{"session_id": id, "data": "\n"}, nil)
			q.ok("wait", object{"session_id": id}, nil)
		}
		for _, other := range []object{{"command": "echo other"}, {"labels": object{"a": "b"}}, {"on_disconnect": "kill"}, {"window": 1}} {
			for name, value := range other {
				q.fails(-32007, "execute", with(params, name, value))
			}
		}
		var r rpc.ExecuteResult
		q.ok("execute", params, &r)
		if r.Created || r.SessionID != id || r.PID == 0 {
			t.Errorf("%+v", r)
		}
		if !over {
			q.ok("write", object{"session_id": id, "data": "\n"}, nil)
		}
		x := &transcript{id: id}
		q.follow(x)
		if x.stdout() != "one\ntwo\n" || *x.record.ExitCode != 3 || x.record.PID != r.PID || len(x.gaps) > 0 {
			t.Errorf("%q, %+v", x.stdout(), x.record)
		}
	}
}

// TestReusedSessionID: a connection with a closed window still gets the rest of a session that
// is not retained any more. A new session with that id replaces it.
func TestReusedSessionID(t *testing.T) {
	runParallel(t)
	s := serve(t, func(set *settings) { set.Session.MaxRetained, set.NoSpool = 1, true })
	p := s.dial(t)
	first, second := uuid.NewString(), uuid.NewString()
	for _, id := range []string{first, second} {
		p.good(p.call("execute", object{"command": "echo old", "session_id": id, "window": 1, "on_disconnect": "keep"}))
		s.idle()
	}
	q := s.dial(t)
	q.run(object{"command": "true"}) // is kept in their place
	for _, id := range []string{first, second} {
		q.fails(-32002, "status", object{"session_id": id})
	}
	x := &transcript{id: first}
	p.ok("ack", object{"session_id": first, "seq": 100}, nil)
	p.follow(x)
	if x.stdout() != "old\n" {
		t.Errorf("%q", x.stdout())
	}
	p.fails(-32002, "ack", object{"session_id": first, "seq": 100})
	p.event("process.started", second)
	y := p.run(object{"command": "echo new", "session_id": second})
	if y.stdout() != "new\n" || y.record.Status != "completed" {
		t.Errorf("%q, %+v", y.stdout(), y.record)
	}
}

// TestFailedExecuteTwice: both connections get the reason, and neither stays attached.
func TestFailedExecuteTwice(t *testing.T) {
	runParallel(t)
	s := serve(t)
	peers := []*peer{s.dial(t), s.dial(t)}
	for i := range 1200 { // more than a connection may be attached to
		wait := i%2 == 0
		params := object{"command": []string{"/nonexistent"}, "session_id": uuid.NewString(), "wait": wait}
		asked := []string{peers[0].request("execute", params), peers[1].request("execute", params)}
		for i, p := range peers {
			if e := p.bad(-32008, p.reply(asked[i])); e.Data["path"] != "/nonexistent" {
				t.Fatalf("%+v", e)
			}
		}
	}
	for _, p := range peers {
		if n := len(p.pending); n > 0 {
			t.Errorf("%d messages about a session that did not start: %s", n, p.pending[0].text)
		}
	}
}
