//go:build linux

package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// oldClient is a client of the Python original, with nothing but what one of those had: a socket, JSON
// objects, ids that are strings, and no idea of seq, partial output or session_id.
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
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://"+s.address+"/ws/mcp", nil)
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
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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

// sendRequest returns the result, and keeps the notifications that came before it.
func (c *oldClient) sendRequest(method string, params map[string]any) map[string]any {
	c.t.Helper()
	c.n++
	id := fmt.Sprintf("request-%d", c.n)
	b, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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

// event is the next notification of that method, past all others.
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

// TestOldClient: a client of the Python original works as it did.
func TestOldClient(t *testing.T) {
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
		r := c.sendRequest("execute", map[string]any{"command": `for i in 1 2 3; do echo "line $i"; done; echo oops >&2; printf tail; exit 3`, "timeout": timeout, "unknown": 1})
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
	if p := c.event("process.completed", nil); p["status"] != "canceled" {
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
