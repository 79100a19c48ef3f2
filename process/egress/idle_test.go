package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipeWorld is a proxy in fake time: a listener and a server at the ends of pipes.
func pipeWorld(t *testing.T, serve func(net.Conn)) (l *pipes, end func()) {
	l = newPipes()
	var wg sync.WaitGroup
	p := Start(l, Options{
		Allow:    parseList(t, "a.example:1"),
		Resolver: &resolver{hosts: map[string][]string{"a.example": {site}}},
		dial: func(context.Context, netip.AddrPort) (net.Conn, error) {
			ours, theirs := net.Pipe()
			wg.Go(func() {
				defer theirs.Close()
				serve(theirs)
			})
			return ours, nil
		},
	})
	return l, func() {
		p.Close()
		wg.Wait()
	}
}

const (
	connectRequest = ">CONNECT a.example:1 HTTP/1.1\r\n\r\n"
	connectReply   = "<HTTP/1.1 200 Connection established\r\n\r\n"
)

// TestIdleTunnels keeps a tunnel for an hour in which nothing is sent, in fake time.
func TestIdleTunnels(t *testing.T) {
	hello := string(makeHello(t, &tls.Config{ServerName: "a.example"}))
	for name, steps := range map[string][]string{
		"CONNECT": {connectRequest, connectReply},
		"SOCKS": {">\x05\x01\x00", "<\x05\x00", ">\x05\x01\x00\x03\x09a.example\x00\x01",
			"<\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"},
		"TLS": {connectRequest, connectReply, ">" + hello[:7], ">" + hello[7:], "<" + hello},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, end := pipeWorld(t, func(conn net.Conn) { io.Copy(conn, conn) })
				defer end()
				conn := l.dial()
				defer conn.Close()
				converse(t, conn, steps...)
				time.Sleep(time.Hour)
				converse(t, conn, ">x", "<x")
			})
		})
	}
}

// TestSlowHello ends a tunnel whose ClientHello has begun, in fake time.
func TestSlowHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, end := pipeWorld(t, func(conn net.Conn) { io.Copy(conn, conn) })
		defer end()
		conn := l.dial()
		defer conn.Close()
		converse(t, conn, connectRequest, connectReply)
		time.Sleep(time.Hour)
		begin := time.Now()
		converse(t, conn, ">\x16\x03")
		expectEnd(t, conn)
		if took := time.Since(begin); took != headTime {
			t.Errorf("after %v", took)
		}
	})
}

// TestSlowResponse waits for an hour for a response, and then for the next request, in fake time.
func TestSlowResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, end := pipeWorld(t, func(conn net.Conn) {
			http.ReadRequest(bufio.NewReader(conn))
			time.Sleep(time.Hour)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
		})
		defer end()
		conn := l.dial()
		defer conn.Close()
		converse(t, conn, ">GET http://a.example:1/ HTTP/1.1\r\n\r\n", "<HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
		begin := time.Now()
		expectEnd(t, conn)
		if took := time.Since(begin); took != idleTime {
			t.Errorf("after %v", took)
		}
	})
}

// TestSlowBody sends a body with a pause of an hour, in fake time.
func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, end := pipeWorld(t, func(conn net.Conn) {
			req, err := http.ReadRequest(bufio.NewReader(conn))
			if err != nil {
				t.Error(err)
				return
			}
			body, err := io.ReadAll(req.Body)
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n%s %t", body, err == nil)
		})
		defer end()
		conn := l.dial()
		defer conn.Close()
		converse(t, conn, ">POST http://a.example:1/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n")
		time.Sleep(time.Hour)
		converse(t, conn, ">x\r\n0\r\n\r\n", "<HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nx true")
	})
}

// TestBodyNotRead ends a connection whose server has answered, and reads no more of the body, in fake
// time.
func TestBodyNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		l, end := pipeWorld(t, func(conn net.Conn) {
			http.ReadRequest(bufio.NewReader(conn))
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
			<-release
		})
		defer end()
		defer close(release)
		conn := l.dial()
		defer conn.Close()
		go io.WriteString(conn, "POST http://a.example:1/ HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat("x", 1000000))
		converse(t, conn, "<HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
		expectEnd(t, conn)
	})
}

// TestRate delays connections beyond the permitted number, in fake time.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		p := Start(l, Options{})
		defer p.Close()
		begin := time.Now()
		for range requestBurst + requestRate {
			conn := l.dial()
			converse(t, conn, ">\x05\x01\x00", "<\x05\x00")
			conn.Close()
			synctest.Wait()
		}
		if took := time.Since(begin).Round(10 * time.Millisecond); took != time.Second {
			t.Errorf("%d connections took %v", requestBurst+requestRate, took)
		}
	})
}

// TestManyClients has more clients at once than there may be connections, none of which is refused.
func TestManyClients(t *testing.T) {
	checkLeaks(t)
	hello := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") }
	plain, secure := serveHTTP(t, hello), serveTLS(t, hello)
	w := newWorld(t, "site.example:"+plain, "site.example:"+secure)
	var wg sync.WaitGroup
	for i := range maxConnections + 16 {
		wg.Go(func() {
			url := []string{"http://site.example:" + plain, "https://site.example:" + secure}[i%2]
			c := w.client(t, []string{"http", "http", "socks5h", "socks5h"}[i%4])
			c.Transport.(*http.Transport).DisableKeepAlives = true
			for range 2 {
				resp, err := c.Get(url)
				if err != nil {
					t.Error(err)
					return
				}
				if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "hello" {
					t.Errorf("%q, %v", body, err)
				}
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
	w.Close()
	r := w.Report()
	if len(r.Allowed) != 2 || r.Allowed[0].Count+r.Allowed[1].Count != 2*(maxConnections+16) || r.Excess != 0 {
		t.Errorf("%+v", r)
	}
}
