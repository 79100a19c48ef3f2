//go:build linux

package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/server"
)

// TestWrongParams: a wrong type or value in any field of any method is -32602 and names the
// field.
func TestWrongParams(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	valid := map[string]object{
		"execute":         {"command": "true", "wait": true},
		"control":         {"type": "SIGNAL", "signal": "SIGINT"},
		"cancel":          {},
		"write":           {"data": "x"},
		"wait":            {"session_id": uuid.NewString()},
		"status":          {"session_id": uuid.NewString()},
		"read":            {"session_id": uuid.NewString()},
		"recording":       {"session_id": uuid.NewString()},
		"attach":          {"session_id": uuid.NewString()},
		"ack":             {"session_id": uuid.NewString(), "seq": 1},
		"detach":          {"session_id": uuid.NewString()},
		"forget":          {"session_id": uuid.NewString()},
		"list":            {},
		"authenticate":    {"token": "x"},
		"rpc.discover":    {},
		"$/cancelRequest": {"id": 1},
	}
	values := []string{`1`, `-1`, `1.5`, `1e999`, `-1e999`, `99999999999999999999`, `"X"`, `""`, `true`, `[]`, `[1]`, `["a",null]`, `{}`, `{"a":1}`, `{"a":null}`,
		`null`, `"\u0000"`, `"\ud800"`, `[[[[]]]]`, `{"":{"":{}}}`}
	wrong := 0
	for _, m := range server.Methods() {
		if m.Params == nil {
			continue
		}
		if valid[m.Name] == nil {
			t.Errorf("nothing valid for %s", m.Name)
		}
		for i := range m.Params.NumField() {
			name, _, _ := strings.Cut(m.Params.Field(i).Tag.Get("json"), ",")
			for _, value := range values {
				a := p.call(m.Name, with(valid[m.Name], name, json.RawMessage(value)))
				if a.Error == nil {
					continue
				}
				switch a.Error.Code {
				case -32602:
					wrong++
					field, _ := a.Error.Data["field"].(string)
					if root, _, _ := strings.Cut(field, "."); !strings.HasPrefix(root, name) && !(name == "type" && root == "signal") {
						t.Errorf("%s %s=%s: field %q", m.Name, name, value, field)
					}
				case -32001, -32002, -32006, -32008:
				default:
					t.Errorf("%s %s=%s: %s", m.Name, name, value, a.text)
				}
				p.pending = nil
			}
		}
		e := p.fails(-32602, m.Name, with(valid[m.Name], "no_such_field", 1))
		if e.Data["field"] != "no_such_field" {
			t.Errorf("%+v", e)
		}
	}
	if wrong < 200 {
		t.Errorf("only %d of them were wrong", wrong)
	}
	eventually(t, "all sessions have ended", func() bool { return s.registry.Running() == 0 })
}

// TestExecuteAgain: an execute with the same id can be repeated safely and never runs another
// command.
func TestExecuteAgain(t *testing.T) {
	s := serve(t)
	p, q := s.dial(t), s.dial(t)
	id := uuid.NewString()
	params := object{"command": "echo out; echo err >&2; read x; echo $x; exit 3", "stdin": "pipe", "session_id": id, "labels": object{"a": "b"}}
	first := p.start(params)
	var again rpc.ExecuteResult
	p.ok("execute", params, &again)
	if again.Created || again.SessionID != first {
		t.Errorf("%+v", again)
	}
	e := p.fails(-32007, "execute", with(params, "command", "true"))
	if e.Data["session_id"] != id {
		t.Errorf("%+v", e)
	}
	for _, other := range []object{
		with(params, "cwd", "/"),
		with(params, "labels", object{"a": "c"}),
		with(params, "wait", true),
		with(params, "env", object{"A": "1"}),
	} {
		p.fails(-32007, "execute", other)
	}
	q.ok("execute", with(params, "session_id", strings.ToUpper(id)), &again) // one spelling
	q.ok("write", object{"data": "end\n"}, nil)                              // it is attached
	for _, c := range []*peer{p, q, s.dial(t)} {
		if c != p && c != q { // attaches after the session has ended
			c.ok("execute", params, &again)
			if again.Created {
				t.Errorf("%+v", again)
			}
		}
		x := &transcript{id: id}
		c.follow(x)
		if x.stdout() != "out\nend\n" || x.stderr() != "err\n" || x.record.ExitCode == nil || *x.record.ExitCode != 3 {
			t.Errorf("%q %q %+v", x.stdout(), x.stderr(), x.record)
		}
		c.ok("pong", nil, nil)
		for _, m := range c.pending {
			t.Errorf("besides: %s", m.text)
		}
	}
	if n := s.registry.Running(); n != 0 {
		t.Errorf("%d run", n)
	}
}

// TestLastConnectionEndsSession: if two connections are attached, losing one does not end the
// session.
func TestLastConnectionEndsSession(t *testing.T) {
	s := serve(t, func(set *settings) { set.Server.MaxConnections = 2 })
	p, q := s.dial(t), s.dial(t)
	params := object{"command": "echo ready; exec sleep 1000", "session_id": uuid.NewString()}
	p.started(params)
	q.good(q.call("execute", params))
	p.reset()
	q.event("process.output", params["session_id"].(string))
	r := s.dialSoon(t, dialing{path: "/ws"}) // p has released its slot, so its connection has ended
	if n := s.registry.Running(); n != 1 {
		t.Errorf("%d run", n)
	}
	q.ok("control", object{"type": "PAUSE"}, nil)
	q.reset()
	s.idle()
	var rec rpc.Completion
	r.ok("wait", object{"session_id": params["session_id"]}, &rec)
	if rec.Reason != "disconnected" || rec.Status != "failed" {
		t.Errorf("%+v", rec)
	}
}

// TestStatusAndList: both report the state of the sessions.
func TestStatusAndList(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	var ids []string
	for i := range 3 {
		ids = append(ids, p.start(with(sleeper, "labels", object{"n": fmt.Sprint(i), "all": "yes"})))
	}
	p.ok("control", object{"type": "PAUSE", "session_id": ids[1]}, nil)
	p.ok("cancel", object{"session_id": ids[2]}, nil)
	list := func(params object) string {
		var r rpc.ListResult
		p.ok("list", params, &r)
		var got []string
		for _, st := range r.Sessions {
			for i, id := range ids {
				if st.SessionID == id {
					got = append(got, fmt.Sprintf("%d:%s", i, st.State))
				}
			}
			if st.Command.Argv[0] != "sleep" || st.PID <= 0 || st.StartedAt == "" || st.Containment == "" || (st.Completion != nil) != (st.State == "ended") {
				t.Errorf("%+v", st)
			}
		}
		return strings.Join(got, " ")
	}
	for _, test := range []struct {
		params object
		want   string
	}{
		{object{}, "2:ended 1:paused 0:running"},
		{object{"state": "paused"}, "1:paused"},
		{object{"state": "ended"}, "2:ended"},
		{object{"labels": object{"n": "0"}}, "0:running"},
		{object{"labels": object{"n": "0", "all": "no"}}, ""},
		{object{"labels": object{"all": "yes"}, "state": "running"}, "0:running"},
	} {
		if got := list(test.params); got != test.want {
			t.Errorf("%v: %s, want %s", test.params, got, test.want)
		}
	}
}

// TestEnvironment: a command has the server's environment with the changes of the client.
func TestEnvironment(t *testing.T) {
	s := serve(t, func(set *settings) {
		set.Server.Defaults.Environ = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "KEEP=kept", "GONE=here", "CHANGE=old"}
	})
	p := s.dial(t)
	dir := t.TempDir()
	x := p.run(object{"command": []string{"sh", "-c", "env | grep -v ^_= | sort; pwd"}, "cwd": dir,
		"env": object{"GONE": nil, "CHANGE": "new", "ADDED": "a b\n c", "PWD": nil, "EMPTY": ""}})
	want := " c\nADDED=a b\nCHANGE=new\nEMPTY=\nKEEP=kept\nPATH=/usr/local/bin:/usr/bin:/bin\nPWD=" + dir + "\n" + dir + "\n"
	if x.stdout() != want {
		t.Errorf("got  %q\nwant %q", x.stdout(), want)
	}
}
