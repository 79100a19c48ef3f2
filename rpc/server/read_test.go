//go:build linux

package server_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestReadReturnsTheEventsOfNotifications: the same events with the same params, up to the
// record, however much one read returns.
func TestReadReturnsTheEventsOfNotifications(t *testing.T) {
	runParallel(t)
	s := serve(t)
	p, q := s.dial(t), s.dial(t)
	for _, encoding := range []string{"utf8", "base64", "auto"} {
		id := uuid.NewString()
		p.good(p.call("execute", object{
			"command":    `i=0; while [ $i -lt 300 ]; do echo "line $i"; echo "é $i" >&2; i=$((i+1)); done; printf 'x\377'`,
			"session_id": id,
			"encoding":   encoding,
		}))
		x := &transcript{id: id}
		for done := false; !done; {
			_, done = q.readMore(t, x, object{"session_id": id, "after_seq": x.seq, "timeout": 30})
		}
		p.completed(id)
		p.pending = nil
		// When all is there, both cut it alike.
		p.ok("attach", object{"session_id": id}, nil)
		var r rpc.ReadResult
		q.ok("read", object{"session_id": id}, &r)
		for i, e := range r.Events {
			m := p.next("events", func(m *message) bool { return m.session == id })
			if m.Method != e.Method || string(m.Params) != string(e.Params) {
				t.Fatalf("event %d: %s, and read returns %s", i, m.text, e.Params)
			}
		}
		if !r.Done || len(r.Events) == 0 || x.record == nil || r.LastSeq != x.record.Seq {
			t.Errorf("%d events to %d, done %v; %+v", len(r.Events), r.LastSeq, r.Done, x.record)
		}
	}
}

// TestReadWaits: for an event, at most for its timeout.
func TestReadWaits(t *testing.T) {
	runParallel(t)
	s := serve(t)
	p, q := s.dial(t), s.dial(t)
	id := p.start(object{"command": "read x; echo $x; read x", "stdin": "pipe"})
	for _, timeout := range []float64{0, 0.2} {
		begin := time.Now()
		var r rpc.ReadResult
		q.ok("read", object{"session_id": id, "after_seq": 1, "timeout": timeout}, &r)
		if len(r.Events) != 0 || r.Done || r.LastSeq != 1 || time.Since(begin).Seconds() < timeout {
			t.Errorf("%+v after %v", r, time.Since(begin))
		}
	}
	asked := q.request("read", object{"session_id": id, "after_seq": 1})
	q.ok("pong", nil, nil)
	p.ok("write", object{"session_id": id, "data": "here\n"}, nil)
	m := q.good(q.reply(asked))
	q.asDocumented("read", m)
	if !contains(m.text, `here\n`) {
		t.Errorf("%s", m.text)
	}
	asked = q.request("read", object{"session_id": id, "after_seq": 6})
	q.ok("pong", nil, nil)
	p.ok("write", object{"session_id": id, "data": "", "eof": true}, nil)
	var r rpc.ReadResult
	q.decode(q.good(q.reply(asked)).Result, &r)
	if !r.Done || len(r.Events) != 1 || r.Events[0].Method != "process.completed" {
		t.Errorf("%+v", r)
	}
	q.fails(-32602, "read", object{"session_id": id, "after_seq": -1})
	q.fails(-32602, "read", object{"session_id": id, "max_bytes": 0})
}

// TestReadsPaceTheirSession: from its first read on, a session that is attached without output
// waits for the reads, and a client that polls slowly loses nothing.
func TestReadsPaceTheirSession(t *testing.T) {
	runParallel(t)
	s := serve(t)
	p, q := s.dial(t), s.dial(t)
	const size = 3 << 20
	id := p.start(object{
		"command": fmt.Sprintf("echo begin; read x; yes 0123456 | head -c %d", size), "stream": false, "stdin": "pipe", "stream_timeout": 300,
	})
	x := &transcript{id: id, hash: func(string, []byte) {}}
	for x.bytes["stdout"] < 6 {
		p.readMore(t, x, object{"session_id": id, "after_seq": x.seq})
	}
	p.ok("write", object{"session_id": id, "data": "\n"}, nil)
	written := q.settles(id)
	if written < 1<<19 || written > 3<<19 {
		t.Errorf("%d bytes were written without a read", written)
	}
	for done := false; !done; time.Sleep(10 * time.Millisecond) {
		_, done = p.readMore(t, x, object{"session_id": id, "after_seq": x.seq, "max_bytes": 200000, "timeout": 30})
	}
	if x.bytes["stdout"] != size+6 || len(x.gaps) > 0 || x.record.Status != "completed" {
		t.Errorf("%d bytes, %+v, %+v", x.bytes["stdout"], x.gaps, x.record)
	}
}

// settles waits until the process of a session has written nothing for a while, and returns how
// much it has written.
func (p *peer) settles(id string) (written int64) {
	p.t.Helper()
	for since := time.Now(); time.Since(since) < 500*time.Millisecond; time.Sleep(20 * time.Millisecond) {
		var st rpc.SessionStatus
		p.ok("status", object{"session_id": id}, &st)
		if n := st.Output.StdoutBytes; n > written || n == 0 {
			written, since = n, time.Now()
		}
	}
	return written
}

// TestReadsThatDoNotPace: those of a connection that is not attached. Nothing is paced before
// the first read.
func TestReadsThatDoNotPace(t *testing.T) {
	runParallel(t)
	s := serve(t, func(set *settings) { set.NoSpool = true })
	p, q := s.dial(t), s.dial(t)
	const size = 5 << 20
	for _, reads := range []bool{false, true} {
		id := p.start(object{"command": fmt.Sprintf("read x; yes 0123456 | head -c %d", size), "stream": false, "stdin": "pipe"})
		if reads {
			q.ok("read", object{"session_id": id}, nil)
		}
		p.ok("write", object{"session_id": id, "data": "\n"}, nil)
		if rec := p.completed(id); rec.Output.StdoutBytes != size || rec.Status != "completed" {
			t.Errorf("%+v", rec)
		}
		x := &transcript{id: id, hash: func(string, []byte) {}}
		for done := false; !done; {
			_, done = q.readMore(t, x, object{"session_id": id, "after_seq": x.seq})
		}
		if len(x.gaps) != 1 || x.gaps[0].Reason != rpc.GapReplayWindow || x.gaps[0].LostBytes+x.bytes["stdout"] != size {
			t.Errorf("%d bytes, %+v", x.bytes["stdout"], x.gaps)
		}
	}
}
