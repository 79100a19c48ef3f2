//go:build linux

package server_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestClosedWindow: a client that does not acknowledge gets one window of output, for longer
// than write_timeout and the session's stream deadline, while other requests of the connection
// are answered. After the acks it gets the rest.
func TestClosedWindow(t *testing.T) {
	runParallel(t)
	const window, size, deadline = 64 << 10, 3 << 20, 2 * time.Second
	s := serve(t, func(set *settings) { set.Server.WriteTimeout = 300 * time.Millisecond })
	file := filepath.Join(t.TempDir(), "file")
	writeNumbers(t, file, size)
	want := must(os.ReadFile(file))
	p := s.dial(t)
	x := &transcript{id: uuid.NewString()}
	p.good(p.call("execute", object{
		"command": []string{"cat", file}, "session_id": x.id, "window": window, "stream_timeout": deadline.Seconds(),
	}))
	for begin := time.Now(); time.Since(begin) < deadline+time.Second; time.Sleep(20 * time.Millisecond) {
		if y := p.run(object{"command": "echo other"}); y.stdout() != "other\n" || y.record.Status != "completed" {
			t.Fatalf("%q, %+v", y.stdout(), y.record)
		}
	}
	p.takeAll(x)
	if x.seq > window+utf8.UTFMax || x.seq < window/2 || x.record != nil {
		t.Errorf("without an ack: %d places of a window of %d", x.seq, window)
	}
	for x.record == nil {
		acked := x.seq
		p.send(`{"jsonrpc":"2.0","method":"ack","params":{"session_id":%q,"seq":%d}}`, x.id, acked)
		if err := x.take(p.next("more", func(m *message) bool { return m.session == x.id })); err != nil {
			t.Fatal(err)
		}
		p.takeAll(x)
		if x.seq > acked+window+utf8.UTFMax {
			t.Fatalf("at %d of a window that ends at %d", x.seq, acked+window)
		}
	}
	if x.stdout() != string(want) || x.record.Status != "completed" || len(x.gaps) > 0 {
		t.Errorf("%d of %d bytes, %d gaps, %+v", len(x.stdout()), len(want), len(x.gaps), x.record)
	}
	for _, o := range x.outputs {
		if o.Partial == strings.HasSuffix(o.Data, "\n") {
			t.Fatalf("partial %v: …%q", o.Partial, o.Data[max(0, len(o.Data)-10):])
		}
	}
}

// takeAll takes the events of a session that have arrived. It waits only for one reply.
func (p *peer) takeAll(x *transcript) {
	p.t.Helper()
	p.ok("pong", nil, nil)
	rest := p.pending[:0]
	for _, m := range p.pending {
		if m.session != x.id {
			rest = append(rest, m)
		} else if err := x.take(m); err != nil {
			p.t.Fatal(err)
		}
	}
	p.pending = rest
}

// TestSmallWindows: each ack lets one window of output through, or one character if that is
// larger.
func TestSmallWindows(t *testing.T) {
	runParallel(t)
	s := serve(t)
	p := s.dial(t)
	const text = "aé€😀\n😀€éa\nend"
	for _, encoding := range []string{"utf8", "base64"} {
		for window := range int64(9) {
			window++
			x := &transcript{id: uuid.NewString()}
			p.good(p.call("execute", object{"command": "printf '" + text + "'", "session_id": x.id, "window": window, "encoding": encoding}))
			for x.record == nil {
				acked := x.seq
				p.ok("ack", object{"session_id": x.id, "seq": acked}, nil)
				if err := x.take(p.next("more", func(m *message) bool { return m.session == x.id })); err != nil {
					t.Fatal(err)
				}
				p.takeAll(x)
				if x.seq > acked+window+utf8.UTFMax-1 {
					t.Fatalf("window %d: from %d to %d", window, acked, x.seq)
				}
			}
			if x.stdout() != text || len(x.gaps) > 0 {
				t.Errorf("window %d: %q", window, x.stdout())
			}
			for _, o := range x.outputs {
				if o.Replaced > 0 || !utf8.ValidString(o.Data) {
					t.Errorf("window %d: a cut character: %+v", window, o)
				}
			}
		}
	}
}

// TestAcks: an ack of an older position has no effect, one beyond the sent output is credit, and
// one without a window or an attachment is accepted.
func TestAcks(t *testing.T) {
	runParallel(t)
	s := serve(t)
	p, q := s.dial(t), s.dial(t)
	id := uuid.NewString()
	x := &transcript{id: id}
	ack := func(seq int64) {
		t.Helper()
		p.ok("ack", object{"session_id": id, "seq": seq}, nil)
	}
	reach := func(seq int64) {
		t.Helper()
		for x.seq < seq {
			if err := x.take(p.next("more", func(m *message) bool { return m.session == id })); err != nil {
				t.Fatal(err)
			}
		}
		// That no output beyond the window arrives: a reply cannot show it, since replies are sent
		// before output.
		time.Sleep(20 * time.Millisecond)
		if p.takeAll(x); x.seq != seq {
			t.Errorf("at %d, want %d", x.seq, seq)
		}
	}
	p.good(p.call("execute", object{"command": "printf " + strings.Repeat("x", 100) + "; sleep 1000", "session_id": id, "window": 10}))
	reach(10)
	ack(5)
	reach(15)
	ack(3)
	ack(0)
	ack(5)
	reach(15)
	ack(40)
	reach(50)
	ack(1 << 62)
	reach(101)
	p.fails(-32602, "ack", object{"session_id": id, "seq": -1})
	p.fails(-32602, "ack", object{"session_id": id})
	q.ok("ack", object{"session_id": id, "seq": 7}, nil)
	q.ok("attach", object{"session_id": id}, nil)
	q.ok("ack", object{"session_id": id, "seq": 7}, nil)
	q.ok("cancel", object{"session_id": id}, nil)
	y := &transcript{id: id}
	q.follow(y)
	if len(y.stdout()) != 100 {
		t.Errorf("%q", y.stdout())
	}
}

// TestWindowWithDrop: output is lost while the window is closed, and reported; the ack of the
// gap opens it.
func TestWindowWithDrop(t *testing.T) {
	runParallel(t)
	s := serve(t, func(set *settings) { set.NoSpool = true })
	p, q := s.dial(t), s.dial(t)
	const size = 5000000
	x := &transcript{id: uuid.NewString()}
	p.good(p.call("execute", object{
		"command": "yes 0123456 | head -c 5000000", "session_id": x.id, "window": 10000, "slow_client": "drop", "on_disconnect": "keep",
	}))
	q.ok("wait", object{"session_id": x.id}, nil)
	for x.record == nil {
		if err := x.take(p.next("more", func(m *message) bool { return m.session == x.id })); err != nil {
			t.Fatal(err)
		}
		p.send(`{"jsonrpc":"2.0","method":"ack","params":{"session_id":%q,"seq":%d}}`, x.id, x.seq)
	}
	var lost int64
	for _, g := range x.gaps {
		lost += g.LostBytes
		if g.Reason != rpc.GapSlowClient {
			t.Errorf("%+v", g)
		}
	}
	if len(x.gaps) == 0 || x.bytes["stdout"]+lost != size || x.record.Output.LostBytes != lost {
		t.Errorf("%d bytes, gaps %+v, %+v", x.bytes["stdout"], x.gaps, x.record)
	}
	if !bytes.HasSuffix(x.data["stdout"], []byte("0123456\n")) {
		t.Error("the newest is missing")
	}
}

// TestAttachedSessionsAreBounded: a client that does not take the records of its sessions
// reaches the bound of attached sessions.
func TestAttachedSessionsAreBounded(t *testing.T) {
	runParallel(t)
	const slots = 20
	s := serve(t, func(set *settings) { set.Session.MaxRetained, set.Session.MaxSessions = 10, slots })
	p := s.dial(t)
	shut := object{"command": []string{"true"}, "window": 1} // its record is never sent
	var first string
	for i := range 1000 {
		m := p.good(p.call("execute", shut))
		if i == 0 {
			var r rpc.ExecuteResult
			p.decode(m.Result, &r)
			first = r.SessionID
		}
		if i%slots == slots-1 {
			s.idle()
		}
	}
	if e := p.fails(-32009, "execute", shut); e.Data["limit"] != "max_attached" {
		t.Errorf("%+v", e)
	}
	p.send(`{"jsonrpc":"2.0","method":"ack","params":{"session_id":%q,"seq":1}}`, first)
	p.completed(first)
	p.ok("execute", shut, nil)
}

// TestWaitsWithClosedWindow: a wait is answered, canceled and times out although the client does
// not take the session's output.
func TestWaitsWithClosedWindow(t *testing.T) {
	runParallel(t)
	s := serve(t)
	p := s.dial(t)
	id := p.started(object{"command": "echo ready; seq 1 2000; read x", "stdin": "pipe", "window": 100, "on_disconnect": "keep"})
	p.fails(-32004, "wait", object{"session_id": id, "timeout": 0})
	waits := p.request("wait", object{"session_id": id})
	p.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%s}}`, waits)
	p.bad(-32800, p.reply(waits))
	p.ok("write", object{"session_id": id, "eof": true}, nil)
	for _, timeout := range []any{nil, 0, 60} {
		var c rpc.Captured
		p.ok("wait", object{"session_id": id, "timeout": timeout, "capture_bytes": 5}, &c)
		if c.Reason != "exited" || c.Stdout == nil || *c.Stdout != "2000\n" {
			t.Errorf("%+v", c)
		}
	}
	own := uuid.NewString()
	waits = p.request("execute", object{"command": "seq 1 2000; sleep 600", "wait": true, "stream": true, "window": 100, "session_id": own})
	eventually(t, "the session runs", func() bool { return p.call("status", object{"session_id": own}).Error == nil })
	p.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%s}}`, waits)
	var c rpc.Captured
	p.decode(p.good(p.reply(waits)).Result, &c)
	if c.Reason != "canceled" {
		t.Errorf("%+v", c)
	}
}
