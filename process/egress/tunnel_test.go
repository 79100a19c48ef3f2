package egress

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestTunnels uses real clients with both protocols.
func TestTunnels(t *testing.T) {
	checkLeaks(t)
	secure := serveTLS(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "secure ", r.TLS.ServerName) })
	w := newWorld(t, "site.example:"+secure, "*.site.example:"+secure, "127.0.0.1:"+secure)
	for _, scheme := range []string{"http", "socks5h"} {
		c := w.client(t, scheme)
		for host, want := range map[string]string{
			"site.example": "secure site.example", "www.site.example": "secure www.site.example", "127.0.0.1": "secure ",
		} {
			if status, body := get(t, c, "https://"+host+":"+secure); status != 200 || body != want {
				t.Errorf("%s by %s: %d %q", host, scheme, status, body)
			}
		}
		_, err := c.Get("https://other.example:" + secure)
		want := "other.example:" + secure + " is not in network.allow of the sandbox"
		if scheme != "http" {
			want = "connection not allowed by ruleset"
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("other.example by %s: %v", scheme, err)
		}
		c.CloseIdleConnections()
	}
}

// TestRebinding refuses addresses that are not public, although the name is listed, and takes the
// public ones of a name that has both.
func TestRebinding(t *testing.T) {
	checkLeaks(t)
	port := serveTCP(t, func(conn net.Conn) { io.WriteString(conn, "inside") })
	w := newWorld(t, "mixed.example:"+port, "inner.example:"+port, "bound.example:"+port, "[::1]:1", "meta.example:80")
	w.resolver.hosts["inner.example"] = []string{"127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"}
	w.resolver.hosts["mixed.example"] = []string{"127.0.0.1", "fd00::1", site}
	w.resolver.hosts["meta.example"] = []string{"169.254.169.254"}
	for request, want := range map[string]string{
		"CONNECT inner.example:" + port: "HTTP/1.1 403 inner.example:" + port + " has no public address",
		"CONNECT meta.example:80":       "HTTP/1.1 403 ",
		"GET http://meta.example/":      "HTTP/1.1 403 ",
		"CONNECT mixed.example:" + port: "HTTP/1.1 200 ",
	} {
		got := w.ask(t, request+" HTTP/1.1\r\n\r\n")
		if !strings.HasPrefix(got, want) || strings.Contains(got, "127.0.0.1") || strings.Contains(got, "169.254") {
			t.Errorf("%s: %q", request, got)
		}
	}
	w.mu.Lock()
	for _, addr := range w.dialed {
		if addr.Addr() != netip.MustParseAddr(site) {
			t.Errorf("connected to %v", addr)
		}
	}
	w.mu.Unlock()
	var denied []string
	for _, e := range w.eventsAfterClose() {
		if !e.Allowed() {
			denied = append(denied, fmt.Sprintf("%s %t %v %s %d", e.Host, e.Port == 80, e.Address, e.Reason, e.Count))
		}
	}
	for _, want := range []string{"meta.example true 169.254.169.254 not_public 2", "inner.example false 127.0.0.1 not_public 1"} {
		if !strings.Contains(strings.Join(denied, ", "), want) {
			t.Errorf("%s is not in %v", want, denied)
		}
	}
}

// TestListedAddress connects a name to an address that is not public if that is listed with its
// port.
func TestListedAddress(t *testing.T) {
	checkLeaks(t)
	port := serveTCP(t, func(conn net.Conn) { io.WriteString(conn, "inside") })
	w := newWorld(t, "inner.example:*", "127.0.0.1:"+port)
	w.resolver.hosts["inner.example"] = []string{"127.0.0.1"}
	for request, want := range map[string]string{
		"CONNECT inner.example:" + port + " HTTP/1.1\r\n\r\n": "HTTP/1.1 200 Connection established\r\n\r\ninside",
		"CONNECT 127.0.0.1:" + port + " HTTP/1.1\r\n\r\n":     "HTTP/1.1 200 Connection established\r\n\r\ninside",
		"CONNECT inner.example:1 HTTP/1.1\r\n\r\n":            "HTTP/1.1 403 ",
	} {
		if got := w.ask(t, request); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q", request, got)
		}
	}
}

// TestIPv6 reaches an IPv6 address by each protocol, if it is listed with its port.
func TestIPv6(t *testing.T) {
	checkLeaks(t)
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("there is no IPv6 on loopback: ", err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) }))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	listed := l.Addr().String()
	other := "[::2]:" + portOf(listed)
	w := newWorld(t, listed)
	const request = "GET / HTTP/1.0\r\n\r\n"
	toPort := func(last byte) string {
		return "\x05\x01\x00\x04" + strings.Repeat("\x00", 15) + string(last) + portBytes(portOf(listed))
	}
	for _, test := range []struct{ ask, want, end string }{
		{"CONNECT " + listed + " HTTP/1.1\r\n\r\n" + request, "HTTP/1.1 200 ", "\r\n\r\n"},
		{"GET http://" + listed + "/ HTTP/1.0\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", listed},
		{"\x05\x01\x00" + toPort(1) + request, "\x05\x00\x05\x00\x00\x01", "\r\n\r\n"},
		{"CONNECT " + other + " HTTP/1.1\r\n\r\n", "HTTP/1.1 403 ", ""},
		{"GET http://" + other + "/ HTTP/1.1\r\n\r\n", "HTTP/1.1 403 ", ""},
		{"\x05\x01\x00" + toPort(2), "\x05\x00\x05\x02", ""},
	} {
		if got := w.ask(t, test.ask); !strings.HasPrefix(got, test.want) || !strings.HasSuffix(got, test.end) {
			t.Errorf("%q: %q", test.ask, got)
		}
	}
	w.Close()
	if r := w.Report(); len(r.Allowed) != 1 || r.Allowed[0].Count != 3 || len(r.Refused) != 1 || r.Refused[0].Count != 3 {
		t.Errorf("%+v", r)
	}
}

// TestResolver uses the resolver of this machine, and its hosts file.
func TestResolver(t *testing.T) {
	checkLeaks(t)
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // is for others
	t.Setenv("ALL_PROXY", "http://127.0.0.1:1")
	port := serveTCP(t, func(conn net.Conn) { io.WriteString(conn, "inside") })
	for _, test := range []struct {
		allow []string
		want  string
	}{
		{[]string{"localhost:" + port}, "HTTP/1.1 403 localhost:" + port + " has no public address"},
		{[]string{"localhost:" + port, "127.0.0.1:" + port}, "HTTP/1.1 200 Connection established\r\n\r\ninside"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		w := &world{Proxy: Start(l, Options{Allow: parseList(t, test.allow...)}), addr: l.Addr().String()}
		defer w.Close()
		if got := w.ask(t, "CONNECT localhost:"+port+" HTTP/1.1\r\n\r\n"); !strings.HasPrefix(got, test.want) {
			t.Errorf("%q", got)
		}
	}
}

// TestServerNameOfTunnel ends a tunnel to a name whose handshake is for another one.
func TestServerNameOfTunnel(t *testing.T) {
	checkLeaks(t)
	port := serveTLS(t, func(w http.ResponseWriter, r *http.Request) {})
	w := newWorld(t, "site.example:"+port, "other.example:"+port, "127.0.0.1:"+port)
	handshake := func(host, name string) error {
		conn := w.dial(t)
		converse(t, conn, ">CONNECT "+host+":"+port+" HTTP/1.1\r\n\r\n", "<HTTP/1.1 200 Connection established\r\n\r\n")
		defer conn.Close()
		return tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
	}
	for _, test := range []struct {
		host, name string
		permitted  bool
	}{
		{"site.example", "site.example", true}, {"site.example", "other.example", true}, {"site.example", "", true},
		{"site.example", "SITE.example", true}, {"127.0.0.1", "secret.example", true}, {"site.example", "secret.example", false},
	} {
		err := handshake(test.host, test.name)
		if test.permitted && err != nil || !test.permitted && (err == nil || !strings.Contains(err.Error(), "unrecognized name")) {
			t.Errorf("%+v: %v", test, err)
		}
	}
	for _, e := range w.eventsAfterClose() {
		if !e.Allowed() && (e.Host != "secret.example" || e.Reason != ServerName || e.Count != 1 || e.Address.String() != site) {
			t.Errorf("%+v", e)
		}
	}
	if r := w.Report(); len(r.Refused) != 1 {
		t.Errorf("%+v", r)
	}
}

// TestHelloIsHeldBack sends nothing of a handshake that is not complete.
func TestHelloIsHeldBack(t *testing.T) {
	checkLeaks(t)
	got := make(chan []byte, 1)
	port := serveTCP(t, func(conn net.Conn) {
		b, _ := io.ReadAll(conn)
		got <- b
	})
	hello := makeHello(t, &tls.Config{ServerName: "secret.example"})
	w := newWorld(t, "site.example:"+port)
	for _, part := range []int{1, 2, 6, len(hello) - 1, len(hello)} {
		conn := w.dial(t)
		converse(t, conn, ">CONNECT site.example:"+port+" HTTP/1.1\r\n\r\n"+string(hello[:1]), "<HTTP/1.1 200 Connection established\r\n\r\n")
		for _, b := range hello[1:part] {
			conn.Write([]byte{b})
		}
		want := part // what is not complete is sent with its end, for the server to refuse
		if part == len(hello) {
			converse(t, conn, "<"+string(unrecognizedName))
			want = 0
		}
		select {
		case b := <-got:
			if want > 0 {
				t.Errorf("the server got %d bytes before the end", len(b))
			}
			continue
		default:
			closeWrite(conn)
		}
		if b := <-got; len(b) != want {
			t.Errorf("the server got %d bytes of %d, not %d", len(b), part, want)
		}
	}
}

// TestTunnelEnds passes on the end of each direction by itself.
func TestTunnelEnds(t *testing.T) {
	checkLeaks(t)
	port := serveTCP(t, func(conn net.Conn) {
		io.WriteString(conn, "first") // before the client has sent anything
		b, _ := io.ReadAll(conn)
		conn.Write(bytes.ToUpper(b))
	})
	w := newWorld(t, "site.example:"+port)
	for _, prologue := range [][]string{
		{">CONNECT site.example:" + port + " HTTP/1.1\r\n\r\n", "<HTTP/1.1 200 Connection established\r\n\r\n"},
		{">\x05\x01\x00", "<\x05\x00", ">\x05\x01\x00\x03\x0csite.example" + portBytes(port), "<\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"},
		// All at once, with what is for the server.
		{">CONNECT site.example:" + port + " HTTP/1.0\r\n\r\nahead ", "<HTTP/1.1 200 Connection established\r\n\r\n"},
		{">\x05\x01\x00\x05\x01\x00\x03\x0csite.example" + portBytes(port) + "ahead ", "<\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"},
	} {
		conn := w.dial(t)
		converse(t, conn, append(prologue, "<first", ">last")...)
		closeWrite(conn)
		want := "LAST"
		if strings.HasSuffix(prologue[0], "ahead ") {
			want = "AHEAD LAST"
		}
		converse(t, conn, "<"+want)
		expectEnd(t, conn)
	}
	last := w.eventsAfterClose()
	if len(last) != 1 || last[0].Count != 4 || last[0].Up != 4*4+2*6 || last[0].Down != 4*9+2*6 {
		t.Errorf("%+v", last)
	}
}

// TestTunnelSizes sends pieces of different sizes, and expects the same bytes.
func TestTunnelSizes(t *testing.T) {
	checkLeaks(t)
	port := serveTCP(t, func(conn net.Conn) { io.Copy(conn, conn) })
	w := newWorld(t, "site.example:"+port)
	conn := w.dial(t)
	converse(t, conn, ">CONNECT site.example:"+port+" HTTP/1.1\r\n\r\n", "<HTTP/1.1 200 Connection established\r\n\r\n")
	total := 0
	for _, size := range []int{1, tunnelBytes - 1, tunnelBytes, tunnelBytes + 1, 2 * tunnelBytes, bodyBytes, 1, 3*bodyBytes + 1, 1 << 20, 5} {
		text := make([]byte, size)
		rand.Read(text)
		go conn.Write(text)
		got := make([]byte, size)
		if n, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("%d bytes of %d came back, %v", n, size, err)
		}
		total += size
	}
	conn.Close()
	waitFor(t, "the end of the tunnel", func() bool { return len(w.slots) == 0 })
	if r := w.Report(); r.Up != int64(total) || r.Down != int64(total) {
		t.Errorf("%d and %d bytes, not %d", r.Up, r.Down, total)
	}
}

// TestPipesOfUser leaves pipes to others: 64 idle tunnels need descriptors for their sockets only.
func TestPipesOfUser(t *testing.T) {
	checkLeaks(t)
	port := serveTCP(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	w := newWorld(t, "site.example:"+port)
	before := countDescriptors(t)
	for range maxConnections {
		conn := w.dial(t)
		converse(t, conn, ">CONNECT site.example:"+port+" HTTP/1.1\r\n\r\n", "<HTTP/1.1 200 Connection established\r\n\r\n")
	}
	// Two connections have two ends each here.
	if n := countDescriptors(t) - before; n > 4*maxConnections+4 {
		t.Errorf("%d descriptors", n)
	}
}

func portBytes(port string) string {
	a := netip.MustParseAddrPort("0.0.0.0:" + port)
	return string([]byte{byte(a.Port() >> 8), byte(a.Port())})
}

// TestCloseAtAnyTime closes proxies while clients connect, ask and are answered.
func TestCloseAtAnyTime(t *testing.T) {
	checkLeaks(t)
	port := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	target := "site.example:" + port
	var wg sync.WaitGroup
	for i := range 10 {
		w := newWorld(t, target)
		for j := range 3 {
			wg.Go(func() {
				for {
					conn, err := net.Dial("tcp", w.addr)
					if err != nil {
						return
					}
					io.WriteString(conn, []string{
						"GET http://" + target + "/ HTTP/1.0\r\n\r\n", "CONNECT " + target + " HTTP/1.1\r\n\r\nGET / HTTP/1.0\r\n\r\n",
						"\x05\x01\x00\x05\x01\x00\x03\x0csite.example" + portBytes(port) + "GET / HTTP/1.0\r\n\r\n",
					}[j])
					io.Copy(io.Discard, conn)
					conn.Close()
				}
			})
		}
		waitFor(t, "connections", func() bool { return w.connections() > i })
		w.Close()
		r := w.Report()
		if len(r.Refused) > 0 || len(r.Allowed) > 0 && !r.Allowed[0].Final {
			t.Errorf("%+v", r)
		}
	}
	wg.Wait()
}

// TestCloseEndsAll closes a proxy with connections in every state.
func TestCloseEndsAll(t *testing.T) {
	checkLeaks(t)
	accepted := make(chan struct{}, 10)
	port := serveTCP(t, func(conn net.Conn) {
		accepted <- struct{}{}
		io.Copy(io.Discard, conn)
	})
	w := newWorld(t, "site.example:"+port)
	target := "site.example:" + port
	conns := []net.Conn{}
	for _, text := range []string{
		"", "G", "\x05", "\x05\x01\x00\x05", "GET http://" + target + "/ HTTP/1.1\r\n\r\n", "CONNECT " + target + " HTTP/1.1\r\n\r\n",
		"CONNECT " + target + " HTTP/1.1\r\n\r\n\x16\x03", "POST http://" + target + "/ HTTP/1.1\r\nContent-Length: 5\r\n\r\nx",
	} {
		conn := w.dial(t)
		io.WriteString(conn, text)
		conns = append(conns, conn)
	}
	for range 4 {
		<-accepted
	}
	waitFor(t, "all connections", func() bool { return len(w.slots) == len(conns) })
	w.Close()
	w.Close()
	for _, conn := range conns {
		io.Copy(io.Discard, conn) // ends
		conn.Close()
	}
	if _, err := net.DialTimeout("tcp", w.addr, time.Second); err == nil {
		t.Error("the proxy still listens")
	}
}
