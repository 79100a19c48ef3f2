package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestSessionsOnManyPages: ps lists the sessions of all pages, and all are searched for a prefix of
// an id.
func TestSessionsOnManyPages(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	p.serve(t)
	c := dialSocket(t, p.socket())
	ids := []string{ // oldest first
		"aaaaaaaa-0000-4000-8000-000000000001",
		"bbbbbbbb-0000-4000-8000-000000000002",
		"cccccccc-0000-4000-8000-000000000003",
		"aaaaaaaa-0000-4000-8000-100000000004",
	}
	for _, id := range ids {
		params := rpc.ExecuteParams{
			SessionID: id, Command: rpc.Command{Shell: "exec sleep 1000"}, OnDisconnect: rpc.OnDisconnectKeep,
			Labels: map[string]string{"large": strings.Repeat("x", 600_000)},
		}
		if err := c.Call(t.Context(), rpc.MethodExecute, params, nil); err != nil {
			t.Fatal(err)
		}
	}
	ps := p.runnel(t, "ps")
	var got []string
	for line := range strings.Lines(ps.readAll()) {
		got = append(got, strings.Fields(line)[0])
	}
	ps.expectExit(0)
	if want := []string{"SESSION", ids[3], ids[2], ids[1], ids[0]}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("ps lists %v, want %v", got, want)
	}
	expectEqual(t, ps.stderrText(), "")
	ps = p.runnel(t, "ps", "--json")
	var all []rpc.SessionStatus
	if err := json.Unmarshal([]byte(ps.readAll()), &all); err != nil || len(all) != len(ids) {
		t.Errorf("%d sessions, %v", len(all), err)
	}
	x := p.runnel(t, "cancel", "a")
	x.expectExit(1)
	x.expectError("2 sessions")
	x = p.runnel(t, "cancel", ids[0][:len(ids[0])-1])
	expectEqual(t, x.readAll(), ids[0]+" canceled\n")
	x = p.runnel(t, "cancel", "b")
	expectEqual(t, x.readAll(), ids[1]+" canceled\n")
}

// TestSessionsOfAServerWithoutPages: if a server without pages truncates its list, ps prints a
// message.
func TestSessionsOfAServerWithoutPages(t *testing.T) {
	t.Parallel()
	url := fakeServer(t, func(ws *websocket.Conn) {
		ctx := context.Background()
		_ = ws.Write(ctx, websocket.MessageText, []byte(`{"jsonrpc":"2.0","method":"connected","params":{}}`))
		_, text, _ := ws.Read(ctx)
		var request struct {
			ID     string
			Params map[string]any
		}
		if json.Unmarshal(text, &request) != nil || len(request.Params) != 0 { // an older server would refuse an unknown field
			return
		}
		_ = ws.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%q,"result":{"sessions":[{"session_id":"x"}],"truncated":true}}`, request.ID))
		_, _, _ = ws.Read(ctx)
	})
	p := newTestDir(t)
	x := p.runnel(t, "ps", "--url", url)
	if got := x.readAll(); strings.Count(got, "\n") != 2 {
		t.Errorf("%q", got)
	}
	x.expectExit(0)
	x.expectError("only the newest sessions")
}

// TestCancelOnAServerThatVerifiesNothing: a missing survivors_verified is an error only if the
// server has that capability.
func TestCancelOnAServerThatVerifiesNothing(t *testing.T) {
	t.Parallel()
	const id = "11111111-1111-4111-8111-111111111111"
	for capability, status := range map[string]int{"cancel": 0, "survivors_verified": 1} {
		url := fakeServer(t, func(ws *websocket.Conn) {
			ctx := context.Background()
			_ = ws.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"jsonrpc":"2.0","method":"connected","params":{"capabilities":[%q]}}`, capability))
			_, text, _ := ws.Read(ctx)
			var request struct{ ID string }
			_ = json.Unmarshal(text, &request)
			_ = ws.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%q,"result":{"status":"canceled","session_id":%q,"survivors":[]}}`, request.ID, id))
			_, _, _ = ws.Read(ctx)
		})
		x := newTestDir(t).runnel(t, "cancel", "--url", url, id)
		x.readAll()
		x.expectExit(status)
	}
}
