//go:build linux

package server_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const healthRequest = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"

// raw returns a connection to the service, with TLS if the service has it, on which text was sent.
func (s *service) raw(t *testing.T, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	if s.secure != nil {
		c = tls.Client(c, s.secure)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(testTimeout))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

// closedByServer waits for the end of a connection.
func closedByServer(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the server does not close the connection")
	}
}

// openAtServer reports whether the server, which is in this process, has its end of c open. A
// client that reads nothing does not see the server close it: the FIN is behind unread bytes.
func openAtServer(t *testing.T, c net.Conn) bool {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		fd, _ := strconv.Atoi(f.Name())
		if peer, _ := unix.Getpeername(fd); peer != nil {
			if in, ok := peer.(*unix.SockaddrInet4); ok && in.Port == c.LocalAddr().(*net.TCPAddr).Port {
				return true
			}
		}
	}
	return false
}

// answered reads the response to a health request.
func answered(t *testing.T, in *bufio.Reader) {
	t.Helper()
	r, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", r.Status, err)
	}
}

// TestUnauthenticatedConnectionsTimeOut: a connection that does not become a WebSocket ends in
// time. The bound does not apply to WebSockets, nor to repeated requests for the health.
func TestUnauthenticatedConnectionsTimeOut(t *testing.T) {
	const bound = 300 * time.Millisecond
	s := serve(t, func(set *settings) { set.Server.RequestTimeout = bound })
	ws := s.dial(t)
	for name, text := range map[string]string{
		"silence":           "",
		"half a header":     "GET /health HTTP/1.1\r\nHost: loc",
		"no body":           "POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n",
		"half a body":       "POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
		"a second's begin":  healthRequest + "GET",
		"a second's header": healthRequest + "GET /health HTTP/1.1\r\n",
	} {
		t.Run(name, func(t *testing.T) { closedByServer(t, s.raw(t, text)) })
	}
	t.Run("bytes now and then", func(t *testing.T) {
		c := s.raw(t, "GET /health HTTP/1.1\r\nX: ")
		for {
			if _, err := io.WriteString(c, "x"); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the server does not close the connection")
			} else if err != nil {
				return
			}
			time.Sleep(bound / 10)
		}
	})
	c := s.raw(t, "")
	in := bufio.NewReader(c)
	for range 5 { // longer in all than the bound
		_, _ = io.WriteString(c, healthRequest)
		answered(t, in)
		time.Sleep(bound / 3)
	}
	if m := ws.call("pong", nil); m.Error != nil {
		t.Error(m.text)
	}
}

// TestUnreadResponsesTimeOut: a connection that sends requests and does not read responses is
// closed. The bound is long enough for the kernel's buffers to fill before.
func TestUnreadResponsesTimeOut(t *testing.T) {
	s := serve(t, func(set *settings) { set.Server.RequestTimeout = 2 * time.Second })
	c := s.raw(t, healthRequest)
	many, at := []byte(strings.Repeat(healthRequest, 1000)), 0
	for end := time.Now().Add(testTimeout); time.Now().Before(end); {
		_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := c.Write(many[at:])
		at = (at + n) % len(many) // or the rest would be no request
		if err != nil && !openAtServer(t, c) {
			return
		}
	}
	t.Error("the server does not close the connection")
}

// TestOldestUnauthenticatedConnectionIsClosed: one connection too many closes the oldest, and no
// other and no WebSocket.
func TestOldestUnauthenticatedConnectionIsClosed(t *testing.T) {
	const most = 4
	s := serve(t, func(set *settings) { set.Server.MaxUnauthenticated = most })
	ws := s.dial(t)
	conns := make([]net.Conn, most+1)
	for i := range conns {
		conns[i] = s.raw(t, "")
	}
	closedByServer(t, conns[0])
	for _, c := range conns[1:] {
		_, _ = io.WriteString(c, healthRequest)
		answered(t, bufio.NewReader(c))
	}
	for range 3 * most { // each becomes a WebSocket and is not counted any more
		_ = s.dial(t)
	}
	if m := ws.call("pong", nil); m.Error != nil {
		t.Error(m.text)
	}
}

// failing is a listener whose first Accept calls fail with these errors.
type failing struct {
	net.Listener
	errs []error
}

func (l *failing) Accept() (net.Conn, error) {
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
	}
	return l.Listener.Accept()
}

// TestAcceptContinuesAfterErrors: a lack of descriptors or memory does not end a listener. A
// lack of descriptors closes the oldest unauthenticated connection.
func TestAcceptContinuesAfterErrors(t *testing.T) {
	s := serve(t)
	idle := s.raw(t, "")
	_, _ = io.WriteString(idle, healthRequest)
	in := bufio.NewReader(idle)
	answered(t, in) // so it was accepted
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		served <- s.server.Serve(&failing{l, []error{syscall.ENOBUFS, syscall.EMFILE, syscall.ENOMEM, syscall.ENFILE}})
	}()
	defer func() {
		s.shutdown(0)
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	closedByServer(t, idle)
	s.address = l.Addr().String()
	c := s.raw(t, "")
	_, _ = io.WriteString(c, healthRequest)
	answered(t, bufio.NewReader(c))
}

// TestFloodClosesItsOwnConnections: a peer that opens connections fast does not close those of
// others.
func TestFloodClosesItsOwnConnections(t *testing.T) {
	const most = 4
	s := serve(t, func(set *settings) { set.Server.MaxUnauthenticated = most })
	idle := s.raw(t, "")
	for range 10 * most {
		c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(testTimeout))
		_, _ = io.WriteString(c, "GET /ws HTTP/1.1\r\n")
	}
	if m := s.dial(t).call("pong", nil); m.Error != nil { // the flood was accepted before it
		t.Error(m.text)
	}
	_, _ = io.WriteString(idle, healthRequest)
	answered(t, bufio.NewReader(idle))
}
