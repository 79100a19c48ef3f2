//go:build linux

package server_test

import (
	"slices"
	"testing"
)

// TestUnknownControlType guards against a control type that falls through to the action of another
// one: it is an error with the request's id and has no effect on the session.
func TestUnknownControlType(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	id := p.start(sleeper)
	for _, params := range []object{
		{"session_id": id, "type": "EXPLODE"},
		{"type": "EXPLODE"},
		{"session_id": "no such session", "type": "EXPLODE"},
	} {
		e := p.fails(-32602, "control", params)
		if e.Message != "Unknown control type: EXPLODE" {
			t.Errorf("%q", e.Message)
		}
		var known []string
		for _, k := range e.Data["known"].([]any) {
			known = append(known, k.(string))
		}
		if !slices.Equal(known, []string{"PAUSE", "RESUME", "CANCEL", "SIGNAL", "RESIZE"}) {
			t.Errorf("known: %v", known)
		}
	}
	for _, typ := range []string{"pause", "", "PAUSE ", "CANCEL\u0000", "STOP"} {
		p.fails(-32602, "control", object{"session_id": id, "type": typ})
	}
	for _, params := range []string{`{}`, `{"type":null}`, `{"type":1}`, `{"type":["CANCEL"]}`, `{"type":{"CANCEL":1}}`} {
		p.fails(-32602, "control", params)
	}
	state := func() string {
		var st struct{ State string }
		p.ok("status", object{"session_id": id}, &st)
		return st.State
	}
	expectStatus := func(params object, want string) {
		t.Helper()
		var r struct {
			Status    string
			SessionID string `json:"session_id"`
		}
		p.ok("control", params, &r)
		if r.Status != want || r.SessionID != id {
			t.Errorf("%v: %+v", params, r)
		}
	}
	if got := state(); got != "running" {
		t.Errorf("the session is %s", got)
	}
	expectStatus(object{"type": "PAUSE"}, "paused")
	expectStatus(object{"type": "PAUSE"}, "paused")
	p.event("process.paused", id)
	if got := state(); got != "paused" {
		t.Errorf("the session is %s", got)
	}
	p.fails(-32602, "control", object{"session_id": id, "type": "EXPLODE"})
	if got := state(); got != "paused" {
		t.Errorf("the session is %s", got)
	}
	expectStatus(object{"type": "RESUME"}, "resumed")
	p.event("process.resumed", id)
	expectStatus(object{"type": "CANCEL"}, "canceled")
	if rec := p.completed(id); rec.Status != "canceled" || rec.Reason != "canceled" || rec.Signal == nil || *rec.Signal != "SIGTERM" {
		t.Errorf("%+v", rec)
	}
}

// TestControlFindsSession: without a session_id, control applies to the connection's one running
// session.
func TestControlFindsSession(t *testing.T) {
	s := serve(t)
	p, q := s.dial(t), s.dial(t)
	for _, method := range []string{"control", "cancel", "write"} {
		params := map[string]object{"control": {"type": "PAUSE"}, "cancel": {}, "write": {"data": "x"}}[method]
		e := p.fails(-32002, method, params)
		if id, there := e.Data["session_id"]; id != nil || !there {
			t.Errorf("%s: %+v", method, e)
		}
	}
	one := p.start(sleeper)
	q.fails(-32002, "control", object{"type": "PAUSE"}) // it is not q's
	p.ok("control", object{"type": "PAUSE"}, nil)
	two := p.start(sleeper)
	e := p.fails(-32602, "control", object{"type": "RESUME"})
	if e.Data["field"] != "session_id" {
		t.Errorf("%+v", e)
	}
	p.fails(-32602, "cancel", nil)
	q.ok("control", object{"type": "RESUME", "session_id": one}, nil) // the same principal's
	q.ok("cancel", object{"session_id": one}, nil)
	p.ok("control", object{"type": "PAUSE"}, nil) // one is left
	p.ok("cancel", nil, nil)
	p.completed(two)
	if e := p.fails(-32005, "control", object{"type": "PAUSE", "session_id": two}); e.Data["state"] != "ended" {
		t.Errorf("%+v", e)
	}
	p.fails(-32002, "control", object{"type": "PAUSE"})
	p.fails(-32002, "control", object{"type": "PAUSE", "session_id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"})
	p.fails(-32602, "control", object{"type": "PAUSE", "session_id": "not a UUID"})
	for _, method := range []string{"wait", "status"} {
		p.fails(-32602, method, object{})
		p.fails(-32002, method, object{"session_id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"})
	}
}

// TestSignal: a signal is sent by name to the whole tree.
func TestSignal(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	child := `trap "echo child; exit 0" USR1; echo ready; while :; do sleep 0.05; done`
	script := `trap "echo parent; wait; exit 7" USR1; sh -c '` + child + `' & while :; do wait; done`
	id := p.started(object{"command": script})
	var r struct{ Status string }
	p.ok("control", object{"type": "SIGNAL", "signal": "SIGUSR1"}, &r)
	if r.Status != "signaled" {
		t.Errorf("%+v", r)
	}
	x := &transcript{id: id}
	var out string
	for x.record == nil {
		m := p.next("the end", func(m *message) bool { return m.session == id })
		if m.Method == "process.completed" {
			break
		}
		out += m.text
	}
	for _, who := range []string{`parent\n`, `child\n`} {
		if !slices.ContainsFunc([]string{out}, func(s string) bool { return contains(s, who) }) {
			t.Errorf("no %s in %s", who, out)
		}
	}
	id = p.start(sleeper)
	for _, signal := range []any{"SIGSTOP", "SIGNOPE", "", nil, "15", 15} {
		if e := p.fails(-32602, "control", object{"type": "SIGNAL", "signal": signal, "session_id": id}); e.Data["field"] != "signal" {
			t.Errorf("%v: %+v", signal, e)
		}
	}
	p.fails(-32602, "control", object{"type": "RESIZE", "rows": 10, "cols": 10, "session_id": id})
	p.ok("control", object{"type": "SIGNAL", "signal": "SIGINT", "session_id": id}, nil)
	rec := p.completed(id)
	if rec.Reason != "signaled" || rec.Status != "failed" || deref(rec.Signal) != "SIGINT" || rec.ExitCode != nil {
		t.Errorf("%+v", rec)
	}
}
