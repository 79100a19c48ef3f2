//go:build linux

package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// TestShutdownAnswersWaitingRequests: a shutdown ends the sessions that clients wait for, and
// the waits are answered.
func TestShutdownAnswersWaitingRequests(t *testing.T) {
	for range 5 {
		s := serve(t)
		p := s.dial(t)
		id := p.start(sleeper)
		var asked []string
		for range 20 {
			asked = append(asked, p.request("wait", object{"session_id": id, "capture_bytes": 1000}))
		}
		asked = append(asked, p.request("execute", with(sleeper, "wait", true)), p.request("cancel", object{"session_id": p.start(sleeper)}))
		p.send(`[{"jsonrpc":"2.0","id":"b1","method":"wait","params":{"session_id":%q}},{"jsonrpc":"2.0","id":"b2","method":"pong"}]`, id)
		p.ok("pong", nil, nil) // all were begun
		over := make(chan struct{})
		go func() { defer close(over); s.shutdown(0) }()
		for _, id := range asked {
			if m := p.good(p.reply(id)); !contains(m.text, `"reason":"shutdown"`) && !contains(m.text, `"status":"canceled"`) {
				t.Errorf("%s", m.text)
			}
		}
		if m := p.next("the batch", func(m *message) bool { return len(m.batch) == 2 }); !contains(m.text, `"reason":"shutdown"`) {
			t.Errorf("%s", m.text)
		}
		p.closed(websocket.StatusGoingAway)
		<-over
	}
}

// TestRepliesWaitForRoom: many large replies that become ready at once, to a client that does
// not read, need the memory of a few. All of them arrive when the client reads.
func TestRepliesWaitForRoom(t *testing.T) {
	const waits, size = 60, 1 << 20
	s := serve(t)
	p, q := s.dial(t), s.dial(t)
	id := q.start(object{"command": fmt.Sprintf("yes 0123456789 | head -c %d; read x", 2*size), "stdin": "pipe", "stream": false})
	eventually(t, "the output", func() bool {
		x, err := s.registry.Find("user", id)
		return err == nil && x.Log().Counts().Written[1] == 2*size
	})
	flat(t, 16<<20, func() {
		for range waits {
			p.request("wait", object{"session_id": id, "capture_bytes": size})
		}
		p.ok("pong", nil, nil) // all were begun
		q.ok("write", object{"session_id": id, "data": "\n"}, nil)
		q.completed(id)
		q.ok("wait", object{"session_id": id}, nil)
		// That no further replies are created. There is no event to wait for.
		time.Sleep(500 * time.Millisecond)
	})
	for i := range waits {
		if m := p.good(p.reply(fmt.Sprintf(`"r%d"`, i+1))); len(m.text) < size/2 {
			t.Fatalf("reply %d has %d bytes", i, len(m.text))
		}
	}
}

// TestIncompleteBatches: their replies have a common bound.
func TestIncompleteBatches(t *testing.T) {
	const batches = 30
	s := serve(t)
	p := s.dial(t)
	var big struct {
		SessionID string `json:"session_id"`
	}
	p.ok("execute", object{"command": "yes 0123456789 | head -c 600000", "wait": true}, &big)
	id := p.start(sleeper)
	flat(t, 12<<20, func() {
		for i := range batches {
			p.send(`[{"jsonrpc":"2.0","id":"a%d","method":"wait","params":{"session_id":%q,"capture_bytes":600000}},`+
				`{"jsonrpc":"2.0","id":"b%d","method":"wait","params":{"session_id":%q}}]`,
				i, big.SessionID, i, id)
		}
		// That no further replies are created. There is no event to wait for.
		time.Sleep(500 * time.Millisecond)
		p.ok("pong", nil, nil)
	})
	p.ok("cancel", object{"session_id": id}, nil)
	whole, refused := 0, 0
	for range batches {
		m := p.next("a batch", func(m *message) bool { return len(m.batch) == 2 })
		for _, r := range m.batch {
			switch {
			case r.Error != nil:
				if e := p.bad(-32009, r); e.Data["limit"] != "max_reply_bytes" {
					t.Errorf("%+v", e)
				}
				refused++
			case strings.Contains(r.text, `"stdout"`):
				whole++
			}
		}
	}
	if whole == 0 || refused == 0 || whole+refused != batches {
		t.Errorf("%d whole, %d refused", whole, refused)
	}
}

// TestCanceledWaitReleasesConnection: a lost connection releases its slot, although the session
// for which it waits ends later.
func TestCanceledWaitReleasesConnection(t *testing.T) {
	s := serve(t, func(set *settings) { set.Server.MaxConnections = 1 })
	p := s.dial(t)
	id := p.request("execute", object{"command": `trap "" TERM; echo ready; exec sleep 1000`, "wait": true, "stream": true, "grace": 3})
	p.notification("process.output")
	p.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%s}}`, id)
	p.notification("process.canceled")
	p.reset()
	s.dialSoon(t, dialing{path: "/ws"})
	if s.registry.Running() != 1 {
		t.Error("the session ended first")
	}
	s.registry.Kill()
	s.idle()
}

// TestExecuteOnClosedConnection: the start of a session begins or fails after the connection was
// closed. No process and no slot is left.
func TestExecuteOnClosedConnection(t *testing.T) {
	gate, reached := make(chan struct{}), make(chan struct{})
	log := &errorLog{}
	s := serve(t, func(set *settings) {
		set.Server.Log = zerolog.New(log)
		set.Server.Authorize = func(_ access.Identity, method string, _ any) error {
			if method == "execute" {
				reached <- struct{}{}
				<-gate
			}
			return nil
		}
	})
	for i, command := range []any{[]string{"/no/such/program"}, "exec sleep 1000"} {
		p := s.dial(t)
		p.request("execute", object{"command": command})
		<-reached
		p.reset()
		eventually(t, "the outbox finds the connection reset", func() bool {
			s.server.Announce(false) // sends something
			return strings.Count(log.text(), "connection aborted") == i+1
		})
		gate <- struct{}{}
		s.idle()
	}
	if text := log.text(); strings.Contains(text, `"level":"error"`) {
		t.Errorf("logged: %s", text)
	}
}
