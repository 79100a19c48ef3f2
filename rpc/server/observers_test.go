//go:build linux

package server_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestTake: it detaches all other connections, which get no more events, and ends no session.
func TestTake(t *testing.T) {
	runParallel(t)
	s := serve(t)
	owner, other, taker := s.dial(t), s.dial(t), s.dial(t)
	id := owner.started(object{"command": "echo ready; while read x; do echo $x; done", "stdin": "pipe"}) // it is killed by the drop of the last
	other.ok("attach", object{"session_id": id}, nil)
	other.next("ready", func(m *message) bool { return m.session == id && contains(m.text, `ready\n`) })
	x := &transcript{id: id}
	taker.ok("attach", object{"session_id": id, "take": true}, nil)
	for _, p := range []*peer{owner, other} {
		p.ok("pong", nil, nil)
		p.pending = nil
	}
	owner.ok("write", object{"session_id": id, "data": "a\n"}, nil) // it is still the caller's session
	for x.stdout() != "ready\na\n" {
		if err := x.take(taker.next("output", func(m *message) bool { return m.session == id })); err != nil {
			t.Fatal(err)
		}
	}
	owner.fails(-32002, "write", object{"data": "b\n"}) // but none of this connection's
	owner.reset()
	other.ok("pong", nil, nil)
	other.ok("detach", object{"session_id": id}, nil)
	taker.ok("write", object{"session_id": id, "data": "", "eof": true}, nil)
	taker.follow(x)
	if x.record.Reason != "exited" || x.record.Status != "completed" {
		t.Errorf("%+v", x.record)
	}
	other.ok("pong", nil, nil)
	if len(other.pending) > 0 {
		t.Errorf("a detached connection got %.300s", other.pending[0].text)
	}
}

// TestAlternatingTakes: after each take the connection gets the whole log, and the session
// continues.
func TestAlternatingTakes(t *testing.T) {
	runParallel(t)
	s := serve(t)
	peers := []*peer{s.dial(t), s.dial(t)}
	id := peers[0].started(object{"command": "echo ready; read x; echo $x", "stdin": "pipe"})
	var x *transcript
	for i := range 100 {
		x = &transcript{id: id}
		p := peers[(i+1)%2]
		p.pending = nil
		p.ok("attach", object{"session_id": id, "take": true}, nil)
		for x.stdout() != "ready\n" {
			if err := x.take(p.next("output", func(m *message) bool { return m.session == id })); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := peers[0]
	p.ok("write", object{"session_id": id, "data": "end\n"}, nil)
	p.follow(x)
	if x.stdout() != "ready\nend\n" || x.record.Status != "completed" {
		t.Errorf("%q, %+v", x.stdout(), x.record)
	}
}

// TestAttachingAgainMovesThePosition: forward and back, without an event of the old position.
func TestAttachingAgainMovesThePosition(t *testing.T) {
	runParallel(t)
	s := serve(t)
	p := s.dial(t)
	id := p.started(object{"command": "echo ready; read x; echo end", "stdin": "pipe"})
	for _, after := range []int64{0, 3, 7, 1, 7} {
		x := &transcript{id: id, seq: after}
		p.pending = nil
		p.ok("attach", object{"session_id": id, "after_seq": after}, nil)
		for x.seq < 7 {
			if err := x.take(p.next("the rest", func(m *message) bool { return m.session == id })); err != nil {
				t.Fatal(err)
			}
		}
		p.ok("pong", nil, nil)
		if len(p.pending) > 0 {
			t.Errorf("after %d, besides: %s", after, p.pending[0].text)
		}
	}
	x := &transcript{id: id, seq: 7}
	p.ok("write", object{"session_id": id, "data": "\n"}, nil)
	p.follow(x)
	if x.stdout() != "end\n" {
		t.Errorf("%q", x.stdout())
	}
}

// TestDetachDoesNotEndSession: but a lost connection does if it was the last one attached,
// although others read or wait.
func TestDetachDoesNotEndSession(t *testing.T) {
	runParallel(t)
	s := serve(t)
	p, q, r := s.dial(t), s.dial(t), s.dial(t)
	id := p.start(sleeper)
	q.ok("attach", object{"session_id": id}, nil)
	p.ok("detach", object{"session_id": id}, nil)
	q.ok("detach", object{"session_id": id}, nil)
	q.ok("detach", object{"session_id": id}, nil) // once more is no error
	p.reset()
	if state := r.state(id); state != "running" {
		t.Fatalf("%s when all have detached", state)
	}
	p = s.dial(t)
	q.ok("attach", object{"session_id": id}, nil)
	p.ok("attach", object{"session_id": id}, nil)
	waiting := r.request("wait", object{"session_id": id})
	reading := r.request("read", object{"session_id": id, "after_seq": 1})
	r.ok("pong", nil, nil)
	q.reset()
	r.fails(-32004, "wait", object{"session_id": id, "timeout": 0.2})
	p.reset()
	var rec rpc.Completion
	r.decode(r.good(r.reply(waiting)).Result, &rec)
	if rec.Reason != "disconnected" {
		t.Errorf("%+v", rec)
	}
	var read rpc.ReadResult
	r.decode(r.good(r.reply(reading)).Result, &read)
	if !read.Done || len(read.Events) != 1 || read.Events[0].Method != "process.completed" {
		t.Errorf("%+v", read)
	}
}

// TestObserversAtDifferentPositions: many connections follow a session from different positions
// and get all of it, while one with slow_client drop reads nothing.
func TestObserversAtDifferentPositions(t *testing.T) {
	runParallel(t)
	s := serve(t, func(set *settings) { set.NoSpool = true })
	owner, slow := s.dial(t), s.dial(t)
	const size = 4 << 20
	x := &transcript{id: uuid.NewString(), hash: func(string, []byte) {}}
	owner.good(owner.call("execute", object{
		"command": fmt.Sprintf("read x; yes 0123456 | head -c %d; read x; echo", size), "session_id": x.id, "stdin": "pipe",
	}))
	slow.ok("attach", object{"session_id": x.id, "slow_client": "drop", "window": 1000}, nil)
	goOn := func() { owner.ok("write", object{"session_id": x.id, "data": "\n"}, nil) }
	goOn()
	take := func(p *peer, x *transcript) {
		if err := x.take(p.next("events", func(m *message) bool { return m.session == x.id })); err != nil {
			t.Fatal(err)
		}
	}
	for x.seq < size+1 {
		take(owner, x)
	}
	if len(x.gaps) > 0 {
		t.Errorf("a subscriber with block lost %+v", x.gaps)
	}
	// Connections that attach now get the log from oldest on.
	var first rpc.AttachResult
	for i, after := range []int64{0, 1, 1000, size - 5, size - 100000} {
		p := s.dial(t)
		y := &transcript{id: x.id, seq: after, hash: func(string, []byte) {}}
		var a rpc.AttachResult
		p.ok("attach", object{"session_id": x.id, "after_seq": after}, &a)
		if i == 0 {
			first = a
		}
		for y.seq < size+1 {
			take(p, y)
		}
		var lost, events int64
		for _, g := range y.gaps {
			lost += g.LostBytes
			events += g.Seq - g.FromSeq - g.LostBytes
			if g.Reason != rpc.GapReplayWindow {
				t.Errorf("%+v", g)
			}
		}
		if wantGap := after < a.OldestSeq; wantGap != (len(y.gaps) == 1) || y.bytes["stdout"]+lost != size+1-max(1, after) {
			t.Errorf("after %d: %d bytes, gaps %+v; oldest %d", after, y.bytes["stdout"], y.gaps, a.OldestSeq)
		}
		if wantEvents := after == 0; wantEvents != (events == 1) {
			t.Errorf("after %d: %d events in the gap", after, events)
		}
	}
	if first.LastSeq != size+1 || first.OldestSeq < size-2<<20 {
		t.Errorf("%+v", first)
	}
	goOn()
	owner.follow(x)
	y := &transcript{id: x.id, hash: func(string, []byte) {}}
	for y.record == nil {
		slow.send(`{"jsonrpc":"2.0","method":"ack","params":{"session_id":%q,"seq":%d}}`, x.id, y.seq)
		take(slow, y)
	}
	var lost int64
	for _, g := range y.gaps {
		lost += g.LostBytes
		if g.Reason != rpc.GapSlowClient {
			t.Errorf("%+v", g)
		}
	}
	if lost == 0 || y.bytes["stdout"]+lost != size+1 || x.bytes["stdout"] != size+1 {
		t.Errorf("the slow client got %d and lost %d", y.bytes["stdout"], lost)
	}
	if y.record.Output.LostBytes != 0 { // the owner had it
		t.Errorf("%+v", y.record)
	}
}

// TestSlowObserverWithBlock: it blocks the process, and so the other connections, until it reads
// or disconnects.
func TestSlowObserverWithBlock(t *testing.T) {
	runParallel(t)
	s := serve(t)
	owner := s.dial(t)
	const size = 4 << 20
	var all sync.WaitGroup
	for _, leave := range []string{"detach", "drop", "ack"} {
		slow := s.dial(t)
		x := &transcript{id: uuid.NewString(), hash: func(string, []byte) {}}
		owner.good(owner.call("execute", object{"command": fmt.Sprintf("read x; yes 0123456 | head -c %d", size), "session_id": x.id, "stdin": "pipe"}))
		slow.ok("attach", object{"session_id": x.id, "window": 1000}, nil)
		owner.ok("write", object{"session_id": x.id, "data": "\n"}, nil)
		owner.standsStill(x)
		if x.seq < 1<<19 || x.seq > 3<<20 {
			t.Errorf("the output stops at %d", x.seq)
		}
		switch leave {
		case "detach":
			slow.ok("detach", object{"session_id": x.id}, nil)
		case "drop":
			slow.reset()
		case "ack":
			slow.ok("ack", object{"session_id": x.id, "seq": int64(1) << 60}, nil)
			all.Go(func() {
				y := &transcript{id: x.id, hash: func(string, []byte) {}}
				slow.follow(y)
				if y.bytes["stdout"] != size || len(y.gaps) > 0 {
					t.Errorf("the slow client got %d, gaps %+v", y.bytes["stdout"], y.gaps)
				}
			})
		}
		owner.follow(x)
		all.Wait()
		if x.bytes["stdout"] != size || len(x.gaps) > 0 || x.record.Status != "completed" {
			t.Errorf("%s: %d bytes, %+v", leave, x.bytes["stdout"], x.record)
		}
	}
}

// standsStill takes the events of a session until its process has written nothing for a while.
func (p *peer) standsStill(x *transcript) {
	p.t.Helper()
	for before := int64(-1); before < x.seq; {
		before = x.seq
		p.settles(x.id)
		p.takeAll(x)
	}
	if x.record != nil {
		p.t.Fatalf("nothing blocked the process: %+v", x.record)
	}
}
