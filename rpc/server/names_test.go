//go:build linux

package server_test

import (
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestConcurrentExecutesWithOneName: of those that arrive at once exactly one starts a session, and
// the others are told its id.
func TestConcurrentExecutesWithOneName(t *testing.T) {
	s := serve(t)
	const rounds, callers = 20, 4
	var peers []*peer
	for range callers {
		peers = append(peers, s.dial(t))
	}
	for range rounds {
		var asked sync.WaitGroup
		answers := make([]*message, callers)
		for i, p := range peers {
			asked.Go(func() { answers[i] = p.call("execute", with(sleeper, "name", "one")) })
		}
		asked.Wait()
		id, refused := "", map[any]int{}
		for _, m := range answers {
			if m.Error == nil {
				var r rpc.ExecuteResult
				peers[0].decode(m.Result, &r)
				id += r.SessionID
				continue
			}
			if m.Error.Code != -32007 || m.Error.Data["name"] != "one" {
				t.Errorf("%s", m.text)
			}
			refused[m.Error.Data["session_id"]]++
		}
		if uuid.Validate(id) != nil || refused[id] != callers-1 {
			t.Fatalf("%q was started, refused because of %v", id, refused)
		}
		peers[0].ok("cancel", object{"session_id": "one"}, nil)
	}
}

// TestAckByName: a connection still gets the rest of a session that is not kept any more, and refers
// to it by its name until another one has it.
func TestAckByName(t *testing.T) {
	runParallel(t)
	s := serve(t, func(set *settings) { set.Session.MaxRetained, set.NoSpool = -1, true })
	p := s.dial(t)
	id := uuid.NewString()
	for range 2 { // the second replaces the first on this connection
		p.good(p.call("execute", object{"command": "echo out", "name": "one", "session_id": id, "window": 1, "on_disconnect": "keep"}))
		s.idle()
	}
	p.event("process.started", id)
	p.fails(-32002, "status", object{"session_id": "one"})
	q := s.dial(t)
	q.fails(-32002, "ack", object{"session_id": "one", "seq": 100})
	q.start(with(sleeper, "name", "one"))
	p.ok("ack", object{"session_id": "one", "seq": 100}, nil) // of the new one, to which p is not attached
	q.ok("cancel", object{"session_id": "one"}, nil)
	p.ok("ack", object{"session_id": "one", "seq": 100}, nil)
	p.event("process.completed", id)
	p.fails(-32002, "ack", object{"session_id": "one", "seq": 100})
}
