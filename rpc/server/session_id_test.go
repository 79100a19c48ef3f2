//go:build linux

package server_test

import (
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/server"
)

// TestEmptySessionID: every method that takes a session_id refuses an empty one, which never
// means the session that happens to run.
func TestEmptySessionID(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	id := p.start(sleeper)
	others := map[string]object{"execute": {"command": "true"}, "control": {"type": "CANCEL"}, "write": {"data": "x"}, "ack": {"seq": 0}}
	asked := 0
	for _, m := range server.Methods() {
		if m.Params == nil {
			continue
		}
		if _, ok := m.Params.FieldByName("SessionID"); !ok {
			continue
		}
		asked++
		if e := p.fails(-32602, m.Name, with(others[m.Name], "session_id", "")); e.Data["field"] != "session_id" {
			t.Errorf("%s: %+v", m.Name, e)
		}
	}
	if asked < 10 {
		t.Errorf("only %d methods take a session_id", asked)
	}
	var st rpc.SessionStatus
	if p.ok("status", object{"session_id": id}, &st); st.State != "running" {
		t.Errorf("the session is %s", st.State)
	}
}
