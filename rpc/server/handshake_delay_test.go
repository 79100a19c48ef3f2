//go:build linux

package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
)

// serveSlowly serves with a bound of the handshakes of each principal.
func serveSlowly(t *testing.T, perSecond float64, change func(*settings)) *service {
	return serve(t, func(set *settings) {
		set.Server.Auth = byHeader{}
		set.HandshakeRate = perSecond
		change(set)
	})
}

// upgradeRequest is that of a principal.
func upgradeRequest(principal string) string {
	return "GET /ws HTTP/1.1\r\nHost: localhost\r\nX-User: " + principal + "\r\nUpgrade: websocket\r\n" +
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
}

// TestDelayedHandshakesSucceed: a principal that connects faster than it may is delayed, and not
// refused.
func TestDelayedHandshakesSucceed(t *testing.T) {
	const burst, delayed = 50, 5
	s := serveSlowly(t, 200, func(set *settings) { set.Server.MaxConnections = burst })
	s.dialAs(t, "b")
	for range burst + delayed {
		s.dialAs(t, "a").reset()
	}
}

// TestDelayedHandshakesTakeNoPlace: connections whose handshakes are delayed are closed for each
// other, and not those of another principal with the same address. One that ends meanwhile is not
// waited for.
func TestDelayedHandshakesTakeNoPlace(t *testing.T) {
	const most = 4
	s := serveSlowly(t, 0.001, func(set *settings) {
		set.Server.MaxConnections, set.Server.MaxUnauthenticated = most, most
	})
	s.dialAs(t, "b")
	for range most {
		c := s.raw(t, upgradeRequest("a"))
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	idle := s.raw(t, "")
	held := func(n int) {
		t.Helper()
		eventually(t, "the handshakes that are delayed", func() bool { return s.server.ClosedFirst() == n })
	}
	var conns []net.Conn
	for i := range 3 * most {
		conns = append(conns, s.raw(t, upgradeRequest("a")))
		held(min(i+1, most-1))
	}
	if n, _ := io.Copy(io.Discard, conns[0]); n > 0 {
		t.Error("a connection that was closed for another one was answered")
	}
	_ = conns[len(conns)-1].Close()
	held(most - 2)
	_, _ = io.WriteString(idle, upgradeRequest("b"))
	if r, err := http.ReadResponse(bufio.NewReader(idle), nil); err != nil {
		t.Errorf("another principal: %v, %v", r, err)
	}
}
