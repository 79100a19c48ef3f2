package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc"
)

// credentials is a server that accepts every token and records it. f serves a connection after
// connected was sent.
type credentials struct {
	mu     sync.Mutex
	tokens []string
}

func (c *credentials) add(token string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens = append(c.tokens, token)
	return len(c.tokens)
}

func (c *credentials) all() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.tokens, " ")
}

func (c *credentials) serve(t *testing.T, f func(ctx context.Context, ws *websocket.Conn, n int)) (url string) {
	t.Helper()
	h := func(w http.ResponseWriter, r *http.Request) {
		n := c.add(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		handler(t.Context(), func(ctx context.Context, ws *websocket.Conn) { f(ctx, ws, n) })(w, r)
	}
	srv := httptest.NewServer(http.HandlerFunc(h))
	t.Cleanup(srv.Close)
	t.Cleanup(srv.CloseClientConnections)
	return "ws" + strings.TrimPrefix(srv.URL, "http")
}

// TestUnauthorizedEndsReconnecting: after a close with 4401 the client connects again only with
// another token.
func TestUnauthorizedEndsReconnecting(t *testing.T) {
	var c credentials
	url := c.serve(t, func(ctx context.Context, ws *websocket.Conn, n int) {
		send(ctx, ws, quickPings)
		_ = ws.Close(rpc.CloseUnauthorized, fmt.Sprintf("revoked %d", n))
	})
	var calls atomic.Int32
	source := func(context.Context) (string, error) {
		return []string{"a", "b", "b", "b", "b"}[min(calls.Add(1)-1, 4)], nil
	}
	conn, err := Dial(t.Context(), url, Options{TokenSource: source, Reconnect: &Reconnect{MinDelay: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the end", func() { <-conn.Done() })
	var unauthorized *UnauthorizedError
	if err := conn.closedError(); !errors.As(err, &unauthorized) || unauthorized.Reason != "revoked 2" {
		t.Errorf("%v", err)
	}
	if got := c.all(); got != "a b" {
		t.Errorf("connected with the tokens %q", got)
	}
	_ = conn.Close()
}

// TestClosedByServer: the error has the code and the reason of the close frame, and nothing else.
func TestClosedByServer(t *testing.T) {
	for reason, want := range map[string]string{
		"restarting": "connection closed: closed by the server: 1012 restarting",
		"":           "connection closed: closed by the server: 1012",
	} {
		var c credentials
		url := c.serve(t, func(ctx context.Context, ws *websocket.Conn, _ int) {
			send(ctx, ws, quickPings)
			_ = ws.Close(websocket.StatusServiceRestart, reason)
		})
		conn, err := Dial(t.Context(), url, Options{})
		if err != nil {
			t.Fatal(err)
		}
		within(t, "the end", func() { <-conn.Done() })
		var frame websocket.CloseError
		if err := conn.closedError(); err.Error() != want || !errors.As(err, &frame) || frame.Code != websocket.StatusServiceRestart {
			t.Errorf("%v, want %s", err, want)
		}
		_ = conn.Close()
	}
}

// TestRestartReconnects: after a close with 1012, and with 1001.
func TestRestartReconnects(t *testing.T) {
	var c credentials
	url := c.serve(t, func(ctx context.Context, ws *websocket.Conn, n int) {
		send(ctx, ws, quickPings)
		if n < 3 {
			_ = ws.Close([]websocket.StatusCode{websocket.StatusServiceRestart, websocket.StatusGoingAway}[n-1], "")
			return
		}
		_ = ws.Close(rpc.CloseUnauthorized, "")
	})
	conn, err := Dial(t.Context(), url, Options{Token: "a", Reconnect: &Reconnect{MinDelay: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the end", func() { <-conn.Done() })
	if got := c.all(); got != "a a a" {
		t.Errorf("connected with the tokens %q", got)
	}
	_ = conn.Close()
}

// TestRenewal: a new token of the source renews a connection before its credential expires, and the
// next one has the newest token too.
func TestRenewal(t *testing.T) {
	old := renewInterval
	renewInterval = 10 * time.Millisecond
	defer func() { renewInterval = old }()
	var c credentials
	renewed := make(chan string, 1)
	url := c.serve(t, func(ctx context.Context, ws *websocket.Conn, n int) {
		soon := time.Now().UTC().Format(time.RFC3339)
		send(ctx, ws, fmt.Sprintf(`{"jsonrpc":"2.0","method":"connected","params":{"expires":%q}}`, soon))
		_, text, err := ws.Read(ctx)
		if err != nil {
			return
		}
		var m struct {
			ID     string
			Method string
			Params rpc.AuthenticateParams
		}
		if err := json.Unmarshal(text, &m); err != nil || m.Method != rpc.MethodAuthenticate {
			t.Errorf("%s", text)
		}
		send(ctx, ws, fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"result":{"principal":"p","role":"run"}}`, m.ID))
		renewed <- m.Params.Token
		_, _, _ = ws.Read(ctx) // answers the close frame, for which the client waits
	})
	var calls atomic.Int32
	source := func(context.Context) (string, error) { return fmt.Sprint("token", min(calls.Add(1), 2)), nil }
	conn, err := Dial(t.Context(), url, Options{TokenSource: source})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the renewal", func() {
		if token := <-renewed; token != "token2" {
			t.Errorf("renewed with %s", token)
		}
	})
	_ = conn.Close()
}

// TestAuthenticate: the token of a call is that of later connections.
func TestAuthenticate(t *testing.T) {
	var c credentials
	url := c.serve(t, func(ctx context.Context, ws *websocket.Conn, n int) {
		send(ctx, ws, quickPings)
		if n == 2 {
			_ = ws.Close(rpc.CloseUnauthorized, "")
			return
		}
		_, text, err := ws.Read(ctx)
		if err != nil {
			return
		}
		var m struct{ ID string }
		_ = json.Unmarshal(text, &m)
		send(ctx, ws, fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"result":{"principal":"p","role":"observe"}}`, m.ID))
		_ = ws.CloseNow()
	})
	conn, err := Dial(t.Context(), url, Options{Token: "a", Reconnect: &Reconnect{MinDelay: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := conn.Authenticate(t.Context(), "b")
	if err != nil || r.Principal != "p" || r.Role != "observe" {
		t.Errorf("%+v, %v", r, err)
	}
	within(t, "the end", func() { <-conn.Done() })
	if got := c.all(); got != "a b" {
		t.Errorf("connected with the tokens %q", got)
	}
	_ = conn.Close()
}

// TestUntilRenewal: early enough, not at once for a short time, and repeatedly after the expiry.
func TestUntilRenewal(t *testing.T) {
	for left, want := range map[time.Duration]time.Duration{
		time.Hour: 59 * time.Minute, 3 * time.Minute: 2 * time.Minute, 90 * time.Second: 45 * time.Second,
		20 * time.Second: 10 * time.Second, time.Second: renewInterval, -time.Minute: renewInterval,
	} {
		if got := untilRenewal(left); got != want {
			t.Errorf("%v before the end: %v, want %v", left, got, want)
		}
	}
}
