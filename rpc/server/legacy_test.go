//go:build linux

package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// oldClient is a client of the Python original, with only what one of those had: a socket, JSON
// objects, ids that are strings, and no knowledge of seq, partial output or session_id.
type oldClient struct {
	t         *testing.T
	ws        *websocket.Conn
	sessionID string
	n         int
	replies   map[string]map[string]any
	events    []map[string]any
}

func newOldClient(t *testing.T, s *service) *oldClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, s.url()+"/mcp", &websocket.DialOptions{HTTPClient: s.httpClient()})
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(8 << 20)
	t.Cleanup(func() { _ = ws.CloseNow() })
	c := &oldClient{t: t, ws: ws, replies: map[string]map[string]any{}}
	hello := c.recv()
	params, _ := hello["params"].(map[string]any)
	if hello["method"] != "connected" || params["session_id"] == nil || params["session_id"] != params["connection_id"] {
		t.Fatalf("the first message: %v", hello)
	}
	c.sessionID = params["session_id"].(string)
	return c
}

func (c *oldClient) recv() map[string]any {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	_, b, err := c.ws.Read(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		c.t.Fatal(err)
	}
	return m
}

// sendRequest returns the result, and keeps the notifications that arrive before it.
func (c *oldClient) sendRequest(method string, params map[string]any) map[string]any {
	c.t.Helper()
	c.n++
	id := fmt.Sprintf("request-%d", c.n)
	message := map[string]any{"id": id, "method": method, "params": params}
	if c.n%2 == 0 { // some left it out
		message["jsonrpc"] = "2.0"
	}
	b, _ := json.Marshal(message)
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	if err := c.ws.Write(ctx, websocket.MessageText, b); err != nil {
		c.t.Fatal(err)
	}
	for {
		m := c.recv()
		if m["id"] == nil {
			c.events = append(c.events, m)
			continue
		}
		if m["id"] != id || m["error"] != nil {
			c.t.Fatalf("%s: %v", method, m)
		}
		return m["result"].(map[string]any)
	}
}

// event returns the next notification of that method and skips others.
func (c *oldClient) event(method string, other func(params map[string]any)) map[string]any {
	c.t.Helper()
	for {
		if len(c.events) == 0 {
			c.events = append(c.events, c.recv())
		}
		m := c.events[0]
		c.events = c.events[1:]
		params, _ := m["params"].(map[string]any)
		if m["method"] == method {
			return params
		}
		if m["method"] == "process.output" && other != nil {
			other(params)
		}
	}
}

// TestLegacyClient: a client of the Python original works as before.
func TestLegacyClient(t *testing.T) {
	s := serve(t)
	c := newOldClient(t, s)
	var stdout, stderr strings.Builder
	collect := func(params map[string]any) {
		switch params["type"] {
		case "stdout":
			stdout.WriteString(params["data"].(string))
		case "stderr":
			stderr.WriteString(params["data"].(string))
		}
	}
	for _, timeout := range []any{10, nil} {
		stdout.Reset()
		stderr.Reset()
		r := c.sendRequest("execute", map[string]any{
			"command": `for i in 1 2 3; do echo "line $i"; done; echo oops >&2; printf tail; exit 3`,
			"timeout": timeout,
			"unknown": 1,
		})
		pid, _ := r["pid"].(float64)
		if r["status"] != "started" || pid <= 1 || r["pgid"] != pid || r["session_id"] == nil {
			t.Errorf("execute: %v", r)
		}
		if p := c.event("process.started", nil); p["pid"] != pid || p["pgid"] != pid || p["status"] != "started" {
			t.Errorf("started: %v", p)
		}
		p := c.event("process.completed", collect)
		if p["exit_code"] != 3.0 || p["status"] != "failed" || p["pid"] != pid {
			t.Errorf("completed: %v", p)
		}
		if stdout.String() != "line 1\nline 2\nline 3\ntail" || stderr.String() != "oops\n" {
			t.Errorf("stdout %q, stderr %q", stdout.String(), stderr.String())
		}
	}
	r := c.sendRequest("execute", map[string]any{"command": "sleep 1000"})
	pid := r["pid"]
	for _, control := range []struct{ typ, status string }{
		{"PAUSE", "paused"}, {"RESUME", "resumed"}, {"PAUSE", "paused"}, {"CANCEL", "canceled"},
	} {
		r := c.sendRequest("control", map[string]any{"type": control.typ, "unknown": true})
		if r["status"] != control.status {
			t.Errorf("%s: %v", control.typ, r)
		}
		if p := c.event("process."+control.status, nil); p["status"] != control.status || p["pid"] != pid || p["pgid"] != pid {
			t.Errorf("process.%s: %v", control.status, p)
		}
	}
	if p := c.event("process.completed", nil); p["status"] != "canceled" || p["exit_code"] != -15.0 || p["signal"] != "SIGTERM" {
		t.Errorf("completed: %v", p)
	}
	c.sendRequest("execute", map[string]any{"command": "exit 0", "timeout": 5})
	if p := c.event("process.completed", nil); p["exit_code"] != 0.0 || p["status"] != "completed" {
		t.Errorf("completed: %v", p)
	}
	// The same unknown field is an error where it is not the old path.
	p := s.dial(t)
	if e := p.fails(-32602, "execute", object{"command": "true", "unknown": 1}); e.Data["field"] != "unknown" || !contains(e.Message, "unknown") {
		t.Errorf("%+v", e)
	}
}

// TestLegacyClientGetsOneLinePerOutput: also if many lines are ready at once. The positions of the
// lines follow each other.
func TestLegacyClientGetsOneLinePerOutput(t *testing.T) {
	s := serve(t)
	c := newOldClient(t, s)
	const lines = 5000
	c.sendRequest("execute", map[string]any{"command": fmt.Sprintf(`seq %d; printf '\n\nü\n'; printf tail`, lines)})
	var want strings.Builder
	for i := range lines {
		fmt.Fprintln(&want, i+1)
	}
	want.WriteString("\n\nü\ntail")
	var got strings.Builder
	seq := 1.0 // process.started
	p := c.event("process.completed", func(params map[string]any) {
		data := params["data"].(string)
		if n := strings.Index(data, "\n"); n >= 0 && n != len(data)-1 {
			t.Fatalf("more than a line: %.100q", data)
		}
		got.WriteString(data)
		if seq += float64(len(data)); params["seq"] != seq {
			t.Fatalf("seq %v, want %v: %v", params["seq"], seq, params)
		}
	})
	if got.String() != want.String() || p["exit_code"] != 0.0 || p["seq"] != seq+1 {
		t.Errorf("%d bytes of %d; %v", got.Len(), want.Len(), p)
	}
}

// TestLegacyClientTimeoutIsSilence: timeout bounds the silence of a command, not its running time.
func TestLegacyClientTimeoutIsSilence(t *testing.T) {
	runParallel(t)
	s := serve(t)
	c := newOldClient(t, s)
	c.sendRequest("execute", map[string]any{"command": "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.2; done", "timeout": 1})
	if p := c.event("process.completed", nil); p["status"] != "completed" {
		t.Errorf("a command that writes: %v", p)
	}
	c.sendRequest("execute", map[string]any{"command": "sleep 1000", "timeout": 0.2})
	if p := c.event("process.completed", nil); p["reason"] != "stream_timeout" {
		t.Errorf("a silent command: %v", p)
	}
	c.sendRequest("execute", map[string]any{"command": "while :; do echo; sleep 0.05; done", "timeout": 0.2, "stream_timeout": 100})
	if p := c.event("process.completed", nil); p["reason"] != "timeout" {
		t.Errorf("with a stream_timeout of its own: %v", p)
	}
}

// TestLegacyClientExitCodes: a signal is a negative exit code, in the event and in replies.
func TestLegacyClientExitCodes(t *testing.T) {
	s := serve(t)
	c := newOldClient(t, s)
	for command, want := range map[string]struct{ code, signal any }{
		"kill -KILL $$": {-9.0, "SIGKILL"}, "kill -TERM $$": {-15.0, "SIGTERM"}, "exit 15": {15.0, nil},
	} {
		id := c.sendRequest("execute", map[string]any{"command": command})["session_id"]
		for what, p := range map[string]map[string]any{
			"event": c.event("process.completed", nil), "wait": c.sendRequest("wait", map[string]any{"session_id": id}),
			"execute": c.sendRequest("execute", map[string]any{"command": command, "wait": true}),
		} {
			if p["exit_code"] != want.code || p["signal"] != want.signal {
				t.Errorf("%s, %s: %v", command, what, p)
			}
		}
		c.event("process.completed", nil) // of the execute that waits
	}
}

// TestLegacyClientCancelIsAnsweredFirst: the reply to CANCEL is ahead of process.canceled. For a
// session that has ended it has the status of the record.
func TestLegacyClientCancelIsAnsweredFirst(t *testing.T) {
	s := serve(t)
	c := newOldClient(t, s)
	for range 20 {
		c.sendRequest("execute", map[string]any{"command": "sleep 1000"})
		c.event("process.started", nil)
		if r := c.sendRequest("control", map[string]any{"type": "CANCEL"}); r["status"] != "canceled" {
			t.Fatal(r)
		}
		if len(c.events) > 0 {
			t.Fatalf("before the reply: %v", c.events)
		}
		c.event("process.canceled", nil)
		c.event("process.completed", nil)
	}
	id := c.sendRequest("execute", map[string]any{"command": "exit 1"})["session_id"]
	c.event("process.completed", nil)
	if r := c.sendRequest("control", map[string]any{"type": "CANCEL", "session_id": id}); r["status"] != "failed" {
		t.Errorf("a session that has ended: %v", r)
	}
}

// TestLegacyClientPython: Python writes unbuffered unless the client sets PYTHONUNBUFFERED.
func TestLegacyClientPython(t *testing.T) {
	s := serve(t, func(set *settings) {
		set.Server.Defaults.Environ = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "PYTHONUNBUFFERED=") })
	})
	c := newOldClient(t, s)
	for _, test := range []struct {
		env  any
		want string
	}{
		{nil, "1\n"}, {map[string]any{"A": "b"}, "1\n"}, {map[string]any{"PYTHONUNBUFFERED": "0"}, "0\n"}, {map[string]any{"PYTHONUNBUFFERED": nil}, ""},
	} {
		c.sendRequest("execute", map[string]any{"command": "printenv PYTHONUNBUFFERED", "env": test.env})
		got := ""
		c.event("process.completed", func(params map[string]any) { got += params["data"].(string) })
		if got != test.want {
			t.Errorf("env %v: %q", test.env, got)
		}
	}
	p := s.dial(t)
	if x := p.run(object{"command": "printenv PYTHONUNBUFFERED"}); x.stdout() != "" {
		t.Errorf("on the other path: %q", x.stdout())
	}
}
