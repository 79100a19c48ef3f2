package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc/client"
)

// dialSocket connects to a server over its Unix socket. The client is closed at the end of the test.
func dialSocket(tb testing.TB, path string) *client.Client {
	tb.Helper()
	c, err := client.Dial(tb.Context(), socketURL, client.Options{Dial: func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// fakeServer serves WebSocket connections by f, and returns its URL. A connection is closed when f
// returns.
func fakeServer(t *testing.T, f func(ws *websocket.Conn)) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer ws.CloseNow()
		f(ws)
	}))
	t.Cleanup(srv.Close)
	return "ws" + strings.TrimPrefix(srv.URL, "http")
}
