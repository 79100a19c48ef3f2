//go:build linux

package server_test

import (
	"fmt"
	"io"
	"testing"
)

// sleeper is a command that does not end by itself.
var sleeper = object{"command": []string{"sleep", "1000"}}

// TestSessionLimit guards against more sessions than the limit allows: the 101st is refused, and
// accepted as soon as another one has ended.
func TestSessionLimit(t *testing.T) {
	s := serve(t)
	p, q := s.dial(t), s.dial(t)
	var ids []string
	for i := range 100 {
		ids = append(ids, []*peer{p, q}[i%2].start(sleeper))
	}
	for range 3 {
		e := q.fails(-32003, "execute", sleeper)
		if e.Data["limit"] != 100.0 || e.Data["running"] != 100.0 || e.Data["kind"] != "session_limit" {
			t.Errorf("%+v", e)
		}
		if after, _ := e.Data["retry_after"].(float64); after <= 0 {
			t.Errorf("retry_after: %+v", e)
		}
	}
	if n := s.registry.Running(); n != 100 {
		t.Errorf("%d run", n)
	}
	p.ok("cancel", object{"session_id": ids[0]}, nil)
	q.start(sleeper)
	q.fails(-32003, "execute", with(sleeper, "wait", true))
	p.ok("control", object{"session_id": ids[2], "type": "CANCEL"}, nil)
	q.start(sleeper)
	q.fails(-32003, "execute", sleeper)
	p.reset()
	eventually(t, "the slots of a lost connection are back", func() bool { return s.registry.Running() == 52 })
	for range 48 {
		q.start(sleeper)
	}
	q.fails(-32003, "execute", sleeper)
}

// TestConnectionLimit checks the same for connections.
func TestConnectionLimit(t *testing.T) {
	s := serve(t)
	var peers []*peer
	for range 100 {
		peers = append(peers, s.dial(t))
	}
	for range 3 {
		p, err := s.tryDial(t, dialing{path: "/ws"})
		if err == nil || p.resp == nil || p.resp.StatusCode != 503 || p.resp.Header.Get("Retry-After") == "" {
			t.Fatalf("the 101st: %v, %+v", err, p.resp)
		}
		if body, err := io.ReadAll(p.resp.Body); string(body) != "over capacity\n" || err != nil {
			t.Errorf("the reason is %q, %v", body, err)
		}
	}
	if status, _ := s.get(t, "/health"); status != 200 {
		t.Errorf("the health of a full server: %d", status)
	}
	closeWell(t, peers[0])
	s.dialSoon(t, dialing{path: "/ws"})
	peers[1].reset()
	s.dialSoon(t, dialing{path: "/ws"})
}

// TestRefusedUpgradeTakesNoSlot checks that a request that is not authenticated does not count as a
// connection.
func TestRefusedUpgradeTakesNoSlot(t *testing.T) {
	s := serve(t, func(set *settings) { set.Server.MaxConnections = 1; set.Server.Auth = tokenAuth("secret") })
	for range 20 {
		if p, err := s.tryDial(t, dialing{path: "/ws"}); err == nil || p.resp.StatusCode != 401 {
			t.Fatalf("%v", err)
		}
	}
	for i := range 10 {
		p := s.dialSoon(t, dialing{path: "/ws", header: bearer("secret")})
		if i%2 == 0 {
			closeWell(t, p)
		} else {
			p.reset()
		}
	}
}

// dialSoon connects, retrying while another connection has not ended yet.
func (s *service) dialSoon(t *testing.T, d dialing) *peer {
	t.Helper()
	var p *peer
	eventually(t, "a slot for a connection", func() (ok bool) {
		var err error
		p, err = s.tryDial(t, d)
		return err == nil
	})
	return p
}

// TestSessionReleasesItsSlotOnce guards against slots that are lost or released twice, for each way
// in which a session can end.
func TestSessionReleasesItsSlotOnce(t *testing.T) {
	s := serve(t, func(set *settings) { set.Session.MaxSessions = 2 })
	keeper := s.dial(t)
	keeper.started(object{"command": "echo ready; exec sleep 1000"}) // its slot stays taken all the while
	ends := map[string]func(p *peer){
		"exit":          func(p *peer) { p.run(object{"command": "exit 3"}) },
		"signal":        func(p *peer) { p.run(object{"command": "kill -9 $$"}) },
		"spawn failure": func(p *peer) { p.fails(-32008, "execute", object{"command": []string{"/no/such/program"}}) },
		"bad params":    func(p *peer) { p.fails(-32602, "execute", object{"command": ""}) },
		"wait":          func(p *peer) { p.ok("execute", object{"command": "exit 0", "wait": true}, nil) },
		"cancel": func(p *peer) {
			id := p.start(sleeper)
			for range 3 {
				p.request("cancel", object{"session_id": id})
			}
			p.ok("cancel", object{"session_id": id}, nil)
		},
		"cancel and exit at once": func(p *peer) {
			id := p.start(object{"command": "exit 0"})
			p.ok("cancel", object{"session_id": id}, nil)
		},
		"timeout":        func(p *peer) { p.run(object{"command": "sleep 1000", "timeout": 0.05}) },
		"disconnect":     func(p *peer) { p.start(sleeper); closeWell(keeper.t.(*testing.T), p) },
		"reset":          func(p *peer) { p.start(sleeper); p.reset() },
		"reset at start": func(p *peer) { p.request("execute", sleeper); p.reset() },
		"cancel and reset": func(p *peer) {
			p.request("cancel", object{"session_id": p.start(with(sleeper, "timeout", 0.01))})
			p.reset()
		},
		"notification": func(p *peer) {
			p.send(`{"jsonrpc":"2.0","method":"execute","params":{"command":"exit 0"}}`)
			p.notification("process.completed")
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			before := usedResources()
			for range 5 {
				p := s.dial(t)
				end(p)
				p.reset()
				awaitReleased(t, before)
				if n := s.registry.Running(); n != 1 {
					t.Fatalf("%d slots taken", n)
				}
			}
			p := s.dial(t)
			id := p.start(sleeper)
			p.fails(-32003, "execute", sleeper)
			p.ok("cancel", object{"session_id": id}, nil)
			p.reset()
			awaitReleased(t, before)
		})
	}
}

// TestSlotIsFreeAtCompletion guards against a session limit that refuses the next execute of a
// client that has the completion record of its session, by notification or reply.
func TestSlotIsFreeAtCompletion(t *testing.T) {
	s := serve(t, func(set *settings) { set.Session.MaxSessions = 1 })
	p := s.dial(t)
	for i := range 300 {
		if m := p.call("execute", object{"command": []string{"true"}, "labels": object{"n": fmt.Sprint(i)}}); m.Error != nil {
			t.Fatalf("execution %d: %s", i, m.text)
		}
		p.notification("process.completed")
	}
	for i := range 50 {
		if m := p.call("execute", object{"command": []string{"true"}, "wait": true}); m.Error != nil {
			t.Fatalf("waiting execution %d: %s", i, m.text)
		}
	}
}
