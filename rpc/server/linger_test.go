//go:build linux

package server_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// kept starts a session on a connection of its own, which is closed when it returns.
func (s *service) kept(t *testing.T, params object) (id string) {
	t.Helper()
	p := s.dial(t)
	id = p.start(with(params, "on_disconnect", "keep"))
	p.reset()
	return id
}

// TestSessionEndedWhileDetached: such a session has its record and all of its output until it is
// removed.
func TestSessionEndedWhileDetached(t *testing.T) {
	runParallel(t)
	script := object{"command": "echo out; echo err >&2; exit 7"}
	t.Run("retained", func(t *testing.T) {
		s := serve(t)
		id := s.kept(t, script)
		q := s.dial(t)
		var waited struct {
			rpc.Completion
			Stdout, Stderr string
		}
		q.ok("wait", object{"session_id": id, "capture_bytes": 100}, &waited)
		if *waited.ExitCode != 7 || waited.Reason != "exited" || waited.Stdout != "out\n" || waited.Stderr != "err\n" || waited.Output.LostBytes != 0 {
			t.Errorf("wait: %+v", waited)
		}
		x, last, done := &transcript{id: id}, int64(0), false
		for !done {
			last, done = q.readMore(t, x, object{"session_id": id, "after_seq": last})
		}
		y := &transcript{id: id}
		var a rpc.AttachResult
		q.ok("attach", object{"session_id": id}, &a)
		q.follow(y)
		for _, z := range []*transcript{x, y} {
			if z.stdout() != "out\n" || z.stderr() != "err\n" || *z.record.ExitCode != 7 || z.record.Seq != waited.Seq {
				t.Errorf("%q, %q, %+v", z.stdout(), z.stderr(), z.record)
			}
		}
		var st rpc.SessionStatus
		q.ok("status", object{"session_id": id}, &st)
		if st.State != "ended" || *st.Completion.ExitCode != 7 || a.State != "ended" || a.LastSeq != waited.Seq || a.OldestSeq != 0 {
			t.Errorf("%+v, %+v", st, a)
		}
	})
	t.Run("forgotten", func(t *testing.T) {
		s := serve(t, func(set *settings) { set.Session.Retain, set.NoSpool = 50*time.Millisecond, true })
		id := s.kept(t, script)
		q := s.dial(t)
		ended := false
		eventually(t, "the session is removed", func() bool {
			ended = ended || s.registry.Running() == 0
			return ended && q.call("status", object{"session_id": id}).Error != nil
		})
		for _, method := range []string{"status", "wait", "read", "attach", "detach"} {
			q.fails(-32002, method, object{"session_id": id})
		}
		q.fails(-32002, "ack", object{"session_id": id, "seq": 1})
	})
}

// readMore reads once and takes the events.
func (p *peer) readMore(t *testing.T, x *transcript, params object) (last int64, done bool) {
	t.Helper()
	var r rpc.ReadResult
	p.ok("read", params, &r)
	for _, e := range r.Events {
		if err := x.take(&message{Method: e.Method, Params: e.Params}); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.Events) > 0 && r.LastSeq != x.seq {
		t.Fatalf("last_seq %d, the last event's is %d", r.LastSeq, x.seq)
	}
	return r.LastSeq, r.Done
}

// state returns a session's state, requested on a connection that is not attached.
func (p *peer) state(id string) string {
	p.t.Helper()
	var st rpc.SessionStatus
	p.ok("status", object{"session_id": id}, &st)
	return st.State
}

// lingered waits for the end of a session without keeping it alive, and checks that it lasted
// for linger.
func (p *peer) lingered(id string, since time.Time, linger time.Duration) {
	p.t.Helper()
	eventually(p.t, "linger ends the session", func() bool { return p.state(id) == "ended" })
	if took := time.Since(since); took < linger {
		p.t.Errorf("ended after %v", took)
	}
	var rec rpc.Completion
	p.ok("wait", object{"session_id": id}, &rec)
	if rec.Reason != "disconnected" || rec.Status != "failed" || *rec.Signal != "SIGTERM" {
		p.t.Errorf("%+v", rec)
	}
}

// TestLingerEndsUnattachedSession: however the session became unattached. Null and 0 mean no
// linger.
func TestLingerEndsUnattachedSession(t *testing.T) {
	runParallel(t)
	const linger = 300 * time.Millisecond
	s := serve(t, func(set *settings) { set.Server.Defaults.Linger = linger })
	p, q := s.dial(t), s.dial(t)
	var forever []string
	for _, none := range []any{0, nil} {
		forever = append(forever, s.kept(t, with(sleeper, "linger", none)))
	}
	detached := p.start(sleeper) // its policy is to be killed
	began := time.Now()
	dropped := s.kept(t, sleeper)
	p.ok("detach", object{"session_id": detached}, nil)
	q.lingered(dropped, began, linger)
	q.lingered(detached, began, linger)
	time.Sleep(linger)
	for _, id := range forever {
		if state := q.state(id); state != "running" {
			t.Errorf("without linger: %s", state)
		}
	}
}

// TestLingerDoesNotRunWhileAttached: nor during a read or a wait.
func TestLingerDoesNotRunWhileAttached(t *testing.T) {
	runParallel(t)
	const linger = 300 * time.Millisecond
	s := serve(t)
	p, q, watch := s.dial(t), s.dial(t), s.dial(t)
	held := map[string]func(id string) (release func()){
		"attached": func(id string) func() {
			q.ok("attach", object{"session_id": id}, nil)
			return func() { q.ok("detach", object{"session_id": id}, nil) }
		},
		"reading": func(id string) func() {
			return q.pends(-32800, "read", object{"session_id": id, "after_seq": 1})
		},
		"waiting": func(id string) func() {
			return q.pends(-32800, "wait", object{"session_id": id})
		},
	}
	releases := map[string]func(){}
	for _, hold := range held {
		id := p.start(with(sleeper, "linger", linger.Seconds()))
		release := hold(id)
		q.ok("pong", nil, nil) // requests begin in order, so the other one has begun
		p.ok("detach", object{"session_id": id}, nil)
		releases[id] = release
	}
	time.Sleep(4 * linger)
	for id := range releases {
		if state := watch.state(id); state != "running" {
			t.Errorf("the state is %s while attached", state)
		}
	}
	for id, release := range releases {
		since := time.Now()
		release()
		watch.lingered(id, since, linger)
	}
}

// TestExecuteWithWaitKeepsSession: an execute that waits keeps the session alive, although its
// connection has detached.
func TestExecuteWithWaitKeepsSession(t *testing.T) {
	runParallel(t)
	const linger = 300 * time.Millisecond
	s := serve(t)
	p := s.dial(t)
	id := uuid.NewString()
	asked := p.request("execute", with(sleeper, "session_id", id, "wait", true, "linger", linger.Seconds()))
	p.ok("detach", object{"session_id": id}, nil)
	time.Sleep(3 * linger)
	if state := p.state(id); state != "running" {
		t.Errorf("%s while its execute waits", state)
	}
	p.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%s}}`, asked)
	var rec rpc.Completion
	p.decode(p.good(p.reply(asked)).Result, &rec)
	if rec.Reason != "canceled" {
		t.Errorf("%+v", rec)
	}
}

// pends sends a request that waits. release cancels it and checks the code of its reply.
func (p *peer) pends(code int, method string, params object) (release func()) {
	p.t.Helper()
	asked := p.request(method, params)
	return func() {
		p.t.Helper()
		p.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%s}}`, asked)
		m := p.reply(asked)
		p.asDocumented(method, m)
		p.bad(code, m)
	}
}

// TestLingerRestarts: attaching stops linger, which begins again after the detach.
func TestLingerRestarts(t *testing.T) {
	runParallel(t)
	const linger = 2 * time.Second
	s := serve(t)
	p, q := s.dial(t), s.dial(t)
	id := s.kept(t, with(sleeper, "linger", linger.Seconds()))
	p.ok("attach", object{"session_id": id}, nil)
	time.Sleep(linger + 200*time.Millisecond)
	if state := q.state(id); state != "running" {
		t.Fatalf("%s while attached", state)
	}
	since := time.Now()
	p.reset()
	q.lingered(id, since, linger)
}

// TestPollDoesNotKeepSession: a wait or a read with timeout 0 restarts linger.
func TestPollDoesNotKeepSession(t *testing.T) {
	runParallel(t)
	const linger = 1500 * time.Millisecond
	s := serve(t)
	q := s.dial(t)
	id := s.kept(t, with(sleeper, "linger", linger.Seconds()))
	var since time.Time
	for i := range 20 { // longer than linger in all
		since = time.Now()
		if i%2 == 0 {
			q.fails(-32004, "wait", object{"session_id": id, "timeout": 0})
		} else {
			q.ok("read", object{"session_id": id, "after_seq": 1, "timeout": 0}, nil)
		}
		time.Sleep(100 * time.Millisecond)
	}
	q.lingered(id, since, linger)
}

// TestWaitDoesNotEndSession: neither the timeout nor the cancellation of a wait ends the
// session.
func TestWaitDoesNotEndSession(t *testing.T) {
	runParallel(t)
	s := serve(t)
	p, q := s.dial(t), s.dial(t)
	id := p.start(object{"command": "read x; echo got $x", "stdin": "pipe"})
	x := &transcript{id: id}
	q.fails(-32004, "wait", object{"session_id": id, "timeout": 0})
	begin := time.Now()
	q.fails(-32004, "wait", object{"session_id": id, "timeout": 0.2})
	if took := time.Since(begin); took < 200*time.Millisecond {
		t.Errorf("a wait of 0.2 s took %v", took)
	}
	q.pends(-32800, "wait", object{"session_id": id})()
	q.pends(-32800, "read", object{"session_id": id, "after_seq": 1})()
	if state := q.state(id); state != "running" {
		t.Errorf("%s", state)
	}
	p.ok("write", object{"session_id": id, "data": "it\n"}, nil)
	p.follow(x)
	if x.stdout() != "got it\n" || x.record.Status != "completed" {
		t.Errorf("%q, %+v", x.stdout(), x.record)
	}
	var rec rpc.Completion
	q.ok("wait", object{"session_id": id, "timeout": 0}, &rec)
	if rec.Seq != x.record.Seq {
		t.Errorf("%+v", rec)
	}
}

// TestCanceledExecuteWithWait: canceling the request ends the tree, regardless of on_disconnect,
// and the reply has the output.
func TestCanceledExecuteWithWait(t *testing.T) {
	runParallel(t)
	s := serve(t)
	p, q := s.dial(t), s.dial(t)
	id, treeID := uuid.NewString(), uuid.NewString()
	asked := p.request("execute", object{
		"command": "echo printed; sleep 1000 & wait", "session_id": id, "wait": true, "on_disconnect": "keep",
		"env": object{"RUNNEL_TREE": treeID},
	})
	eventually(t, "there is output", func() bool {
		return contains(q.call("read", object{"session_id": id, "after_seq": 1, "timeout": 1}).text, "printed")
	})
	p.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%s}}`, asked)
	m := p.good(p.reply(asked))
	p.asDocumented("execute", m)
	var r struct {
		rpc.Completion
		Stdout string
	}
	p.decode(m.Result, &r)
	if r.Status != "canceled" || r.Reason != "canceled" || r.Stdout != "printed\n" || len(r.Survivors) > 0 {
		t.Errorf("%+v", r)
	}
	if left := processesOf(fmt.Sprint("RUNNEL_TREE=", treeID)); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
}

// TestLingerLeft: status and list tell how long a session without a client continues.
func TestLingerLeft(t *testing.T) {
	runParallel(t)
	s := serve(t)
	p := s.dial(t)
	left := func(id string) *float64 {
		t.Helper()
		var st rpc.StatusResult
		p.ok("status", object{"session_id": id}, &st)
		var all rpc.ListResult
		p.ok("list", object{}, &all)
		for _, x := range all.Sessions {
			if x.SessionID == id && (x.LingerLeft == nil) != (st.LingerLeft == nil) {
				t.Errorf("list has %v, status %v", x.LingerLeft, st.LingerLeft)
			}
		}
		return st.LingerLeft
	}
	id := p.start(object{"command": "exec sleep 1000", "linger": 500})
	if n := left(id); n != nil {
		t.Errorf("%v seconds are left while a client is attached", *n)
	}
	p.ok("detach", object{"session_id": id}, nil)
	if n := left(id); n == nil || *n > 500 || *n < 300 {
		t.Errorf("%v seconds are left of 500", n)
	}
	p.ok("attach", object{"session_id": id}, nil)
	if n := left(id); n != nil {
		t.Errorf("%v seconds are left after an attach", *n)
	}
	unlimited := p.start(object{"command": "exec sleep 1000", "linger": 0})
	p.ok("detach", object{"session_id": unlimited}, nil)
	if n := left(unlimited); n != nil {
		t.Errorf("%v seconds are left without a linger", *n)
	}
}
