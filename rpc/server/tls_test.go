//go:build linux

package server_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc/client"
)

func serveTLS(t *testing.T, change ...func(*settings)) *service {
	t.Helper()
	return serve(t, append([]func(*settings){func(set *settings) { set.TLS = true }}, change...)...)
}

// dialTCP returns a connection to the service without TLS.
func (s *service) dialTCP(t *testing.T) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(testTimeout))
	return c.(*net.TCPConn)
}

// TestTLSHandshakes: one that does not end counts as an unauthenticated connection, and is bounded
// in time. A request without TLS is answered with an error.
func TestTLSHandshakes(t *testing.T) {
	runParallel(t)
	const bound, most = 500 * time.Millisecond, 3
	log := &errorLog{}
	s := serveTLS(t, func(set *settings) {
		set.Server.RequestTimeout, set.Server.MaxUnauthenticated = bound, most
		set.Server.Log = zerolog.New(log)
	})
	logged := func(why string) {
		t.Helper()
		eventually(t, why, func() bool { return strings.Contains(log.text(), `"why":"`+why+`"`) })
	}
	ws := s.dial(t)
	t.Run("silence", func(t *testing.T) {
		closedByServer(t, s.dialTCP(t))
		logged("TLS handshake timed out")
	})
	t.Run("half a hello", func(t *testing.T) {
		c := s.dialTCP(t)
		_, _ = c.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3})
		closedByServer(t, c)
	})
	t.Run("HTTP", func(t *testing.T) {
		c := s.dialTCP(t)
		_, _ = io.WriteString(c, healthRequest)
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || r.StatusCode != http.StatusBadRequest {
			t.Fatal(r, err)
		}
		_ = r.Body.Close()
		closedByServer(t, c)
		logged("HTTP without TLS")
	})
	t.Run("an old version", func(t *testing.T) {
		c := tls.Client(s.dialTCP(t), &tls.Config{RootCAs: s.secure.RootCAs, ServerName: "127.0.0.1", MaxVersion: tls.VersionTLS12})
		if err := c.Handshake(); err == nil || !strings.Contains(err.Error(), "protocol version") {
			t.Error(err)
		}
		logged("TLS handshake failed")
	})
	t.Run("one too many", func(t *testing.T) {
		oldest := s.dialTCP(t)
		for range most {
			_ = s.dialTCP(t)
		}
		begin := time.Now()
		closedByServer(t, oldest)
		if took := time.Since(begin); took >= bound {
			t.Errorf("closed after %v", took)
		}
		logged("too many unauthenticated connections")
	})
	if m := ws.call("pong", nil); m.Error != nil { // the bounds do not apply to a WebSocket
		t.Error(m.text)
	}
}

// TestTLSOffersHTTP1Only: HTTP/2 has no upgrade to a WebSocket.
func TestTLSOffersHTTP1Only(t *testing.T) {
	s := serveTLS(t)
	config := s.secure.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	c := tls.Client(s.dialTCP(t), config)
	defer c.Close()
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if p := c.ConnectionState().NegotiatedProtocol; p == "h2" {
		t.Error("HTTP/2 is negotiated")
	}
	_, _ = io.WriteString(c, healthRequest)
	answered(t, bufio.NewReader(c))
}

// TestTLSInput: what a client writes is received, in messages of all sizes, and a flood of output is
// complete.
func TestTLSInput(t *testing.T) {
	runParallel(t)
	s := serveTLS(t)
	p := s.dial(t)
	for _, size := range []int{1, 125, 8180, 8192, 16384, 100_000, 700_000} {
		id := p.start(object{"command": "wc -c", "stdin": "pipe"})
		p.ok("write", object{"session_id": id, "data": strings.Repeat("x", size), "eof": true}, nil)
		x := &transcript{id: id}
		if p.follow(x); x.stdout() != fmt.Sprintln(size) {
			t.Errorf("%q bytes of %d", x.stdout(), size)
		}
	}
	const flood = 50 << 20
	x := p.run(object{"command": fmt.Sprintf("yes | head -c %d", flood), "mode": "raw"})
	if x.bytes["stdout"] != flood {
		t.Errorf("%d bytes of %d", x.bytes["stdout"], flood)
	}
}

// slowConn delays each byte that is written.
type slowConn struct {
	net.Conn
	delay time.Duration
}

func (c *slowConn) Write(b []byte) (n int, err error) {
	if c.delay == 0 {
		return c.Conn.Write(b)
	}
	for ; n < len(b) && err == nil; n++ {
		time.Sleep(c.delay)
		_, err = c.Conn.Write(b[n : n+1])
	}
	return n, err
}

// TestTLSPeers: a peer that reads slowly is kept; one that sends and reads nothing is not.
func TestTLSPeers(t *testing.T) {
	const interval = 300 * time.Millisecond
	s := serveTLS(t, func(set *settings) {
		set.Server.PingInterval, set.Server.WriteTimeout = interval, testTimeout
	})
	t.Run("reads slowly", func(t *testing.T) {
		t.Parallel()
		p := s.dial(t)
		p.start(object{"command": "yes"})
		sip := make([]byte, 100<<10)
		for end := time.Now().Add(5 * interval); time.Now().Before(end); time.Sleep(interval / 6) {
			if _, err := io.ReadFull(p.conn, sip); err != nil {
				t.Fatalf("disconnected: %v", err)
			}
		}
		s.idle() // because it reads nothing any more
	})
	t.Run("sends slowly", func(t *testing.T) { // a record is no message before its end
		t.Parallel()
		slow := &slowConn{}
		p, err := s.tryDial(t, dialing{path: "/ws", below: func(c net.Conn) net.Conn { slow.Conn = c; return slow }})
		if err != nil {
			t.Fatal(err)
		}
		p.start(sleeper)
		slow.delay = interval / 25 // between two bytes: the whole takes longer than three intervals
		p.send(`{"jsonrpc":"2.0","id":1,"method":"pong"}`)
		slow.delay = 0
		p.good(p.reply("1"))
		s.idle()
	})
}

// TestTLSBlockedPeerTimesOut: the write timeout is on progress, as without TLS.
func TestTLSBlockedPeerTimesOut(t *testing.T) {
	runParallel(t)
	log := &errorLog{}
	s := serveTLS(t, func(set *settings) {
		set.Server.WriteTimeout = 500 * time.Millisecond
		set.Server.Log = zerolog.New(log)
	})
	p := s.dial(t)
	p.start(object{"command": "yes"})
	p.pings(s.idle)
	eventually(t, "the connection ends", func() bool { return strings.Contains(log.text(), `"disconnected"`) })
	if text := log.text(); !strings.Contains(text, "connection aborted") || !strings.Contains(text, "i/o timeout") {
		t.Errorf("logged: %s", text)
	}
}

// TestTLSClose: the last frame and close_notify arrive although the peer's input is not read, and
// the connection is not reset.
func TestTLSClose(t *testing.T) {
	runParallel(t)
	s := serveTLS(t)
	p := s.dial(t)
	_, _ = p.conn.Write([]byte{0x81, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4})
	_, _ = p.conn.Write(make([]byte, 2<<20))
	p.closed(websocket.StatusMessageTooBig)
	q := s.dial(t)
	s.shutdown(0)
	q.closed(websocket.StatusGoingAway)
	if _, err := q.conn.Read(make([]byte, 1)); err != io.EOF { // else TLS was cut off
		t.Errorf("%v, want EOF", err)
	}
}

// TestTLSClientCertificates: one of another authority, an expired one, and one that is not for
// clients are refused by the handshake. Nil is no certificate.
func TestTLSClientCertificates(t *testing.T) {
	authority, other := newAuthority(t, "clients"), newAuthority(t, "others")
	forClients := x509.Certificate{DNSNames: []string{"agent"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	forServers := x509.Certificate{DNSNames: []string{"agent"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	expired := forClients
	expired.NotAfter = time.Now().Add(-time.Minute)
	good, wrong := authority.sign(t, forClients), other.sign(t, forClients)
	late, server := authority.sign(t, expired), authority.sign(t, forServers)
	log := &errorLog{}
	s := serveTLS(t, func(set *settings) {
		set.ClientCAs = authority.pool
		set.Server.Log = zerolog.New(log)
	})
	for name, c := range map[string]struct {
		cert *tls.Certificate
		ok   bool
	}{
		"none": {nil, true}, "good": {&good, true}, "another authority": {&wrong, false}, "expired": {&late, false}, "of a server": {&server, false},
	} {
		t.Run(name, func(t *testing.T) {
			config := s.secure.Clone()
			if c.cert != nil { // also if the server does not ask for one of its authority
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.cert, nil }
			}
			conn, err := client.Dial(t.Context(), s.url(), client.Options{TLS: config})
			if (err == nil) != c.ok {
				t.Errorf("%v", err)
			}
			if err == nil {
				_ = conn.Close()
			}
		})
	}
	eventually(t, "the log", func() bool { return strings.Contains(log.text(), "client certificate refused") })
	if text := log.text(); strings.Contains(text, `"connected"`) && strings.Count(text, `"connected"`) != 2 {
		t.Error(text)
	}
}
