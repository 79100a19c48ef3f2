//go:build linux

package codex_test

import (
	"io"
	"net"
	"testing"
	"time"
)

// silentSite accepts connections and sends nothing. It returns its address, and the connections.
func silentSite(t *testing.T) (address string, accepted <-chan net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns <- conn
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		close(conns)
		for conn := range conns {
			_ = conn.Close()
		}
	})
	return l.Addr().String(), conns
}

// TestHTTPConnectionsEndWithTheirRequest checks that a request whose time is over, or whose client has gone, leaves
// no connection behind that is in a TLS handshake.
func TestHTTPConnectionsEndWithTheirRequest(t *testing.T) {
	t.Parallel()
	address, accepted := silentSite(t)
	ended := func(conn net.Conn) {
		t.Helper()
		defer conn.Close()
		// A handshake that goes on without its request ends later than that, after httpConnectTime.
		_ = conn.SetReadDeadline(time.Now().Add(25 * time.Second))
		if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
			t.Error("a connection is open after its request")
		}
	}
	service := serve(t, withHTTP)
	c := service.client()
	c.refused("http/request", with(get("https://"+address), "timeoutMs", 5000), -32603)
	ended(<-accepted)
	c.request("http/request", get("https://"+address))
	conn := <-accepted
	c.drop()
	ended(conn)
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}
