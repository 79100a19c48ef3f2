//go:build linux

package server_test

import (
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/session"
)

// TestForgetRaces: connections execute, attach to, read, wait for and forget sessions with the same
// few ids. Who is attached gets the whole session, and in the end nothing is left of those that were
// forgotten.
func TestForgetRaces(t *testing.T) {
	s := serve(t)
	ids := [...]string{uuid.NewString(), uuid.NewString(), uuid.NewString()}
	var mu sync.Mutex
	forgotten := 0
	var all sync.WaitGroup
	for range 4 {
		p := s.dial(t)
		all.Go(func() {
			for i := range 30 {
				id := ids[i%len(ids)]
				for method, params := range map[string]object{
					"execute": {"command": "echo out", "session_id": id, "on_disconnect": "keep"},
					"attach":  {"session_id": id},
				} {
					m := p.call(method, params)
					if m.Error != nil {
						if !allowed[m.Error.Code] {
							t.Errorf("%s: %s", method, m.text)
						}
						continue
					}
					x := &transcript{id: id}
					p.follow(x)
					if x.stdout() != "out\n" || len(x.gaps) > 0 {
						t.Errorf("%s: %q, %+v", method, x.stdout(), x.gaps)
					}
				}
				asked := []string{
					p.request("read", object{"session_id": id, "timeout": 0}),
					p.request("wait", object{"session_id": id, "timeout": 0, "capture_bytes": 10}),
					p.request("forget", object{"session_id": id}),
					p.request("status", object{"session_id": id}),
				}
				for n, a := range asked {
					m := p.reply(a)
					switch {
					case m.Error != nil && !allowed[m.Error.Code]:
						t.Errorf("%s", m.text)
					case m.Error == nil && n == 2:
						mu.Lock()
						forgotten++
						mu.Unlock()
					}
				}
			}
		})
	}
	all.Wait()
	s.idle()
	p := s.dial(t)
	for _, id := range ids {
		if m := p.call("forget", object{"session_id": id}); m.Error != nil && m.Error.Code != -32002 {
			t.Errorf("%s", m.text)
		}
		p.fails(-32002, "status", object{"session_id": id})
	}
	if forgotten < 30 {
		t.Errorf("only %d were forgotten", forgotten)
	}
	if kept, err := s.registry.ListBefore("user", 0, 10, session.AllSessions); err != nil || len(kept) > 0 {
		t.Errorf("%d sessions are kept, %v", len(kept), err)
	}
}
