package egress

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// resolver resolves names from a table, and notes what it was asked.
type resolver struct {
	mu    sync.Mutex
	hosts map[string][]string
	asked []string
}

func (r *resolver) LookupNetIP(_ context.Context, _, host string) (addrs []netip.Addr, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, host)
	for _, text := range r.hosts[host] {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	if addrs == nil {
		err = &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return addrs, err
}

// site is the address that names of tests have. It is public; connections to it go to 127.0.0.1.
const site = "93.184.215.14"

// world is a proxy with names that it can resolve, whose public addresses are those of this
// machine.
type world struct {
	*Proxy
	addr     string
	resolver *resolver
	mu       sync.Mutex
	dialed   []netip.AddrPort
	events   []Event
}

// newWorld starts a proxy with a list. It ends with the test, after which nothing of it may be
// left.
func newWorld(t testing.TB, allow ...string) *world {
	t.Helper()
	w := &world{resolver: &resolver{hosts: map[string][]string{"site.example": {site}, "www.site.example": {site}, "other.example": {site}}}}
	o := Options{Resolver: w.resolver, Event: func(e Event) {
		w.mu.Lock()
		w.events = append(w.events, e)
		w.mu.Unlock()
	}}
	for _, text := range allow {
		d, err := sandbox.ParseDestination(text)
		if err != nil {
			t.Fatalf("%s %v", text, err)
		}
		o.Allow = append(o.Allow, d)
	}
	o.dial = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
		w.mu.Lock()
		w.dialed = append(w.dialed, a)
		w.mu.Unlock()
		if a.Addr().String() == site {
			a = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), a.Port())
		}
		return connect(ctx, a)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = l.Addr().String()
	w.Proxy = Start(l, o)
	t.Cleanup(w.Close)
	return w
}

// checkLeaks fails the test if goroutines or descriptors are left at its end.
func checkLeaks(t testing.TB) {
	t.Helper()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	goroutines, descriptors := runtime.NumGoroutine(), countDescriptors(t)
	t.Cleanup(func() {
		waitFor(t, "the end of goroutines and descriptors", func() bool {
			runtime.GC() // ends the pipes that package net keeps for splice(2) of servers here
			return runtime.NumGoroutine() <= goroutines && countDescriptors(t) <= descriptors
		})
	})
}

func countDescriptors(t testing.TB) int {
	dir := "/proc/self/fd"
	if runtime.GOOS != "linux" {
		dir = "/dev/fd"
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func waitFor(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			buf := make([]byte, 1<<16)
			t.Fatalf("waited in vain for %s\n%s", what, buf[:runtime.Stack(buf, true)])
		}
	}
}

// client returns an HTTP client that uses the proxy by a scheme, http or socks5h.
func (w *world) client(t testing.TB, scheme string) *http.Client {
	proxy := &url.URL{Scheme: scheme, Host: w.addr}
	transport := &http.Transport{
		Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		ExpectContinueTimeout: 10 * time.Second,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// dial connects to the proxy.
func (w *world) dial(t testing.TB) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// ask sends text to the proxy and returns all that it answers until it closes the connection.
func (w *world) ask(t testing.TB, text string) string {
	t.Helper()
	conn := w.dial(t)
	io.WriteString(conn, text)
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("%v after %q", err, answer)
	}
	return string(answer)
}

// connections returns the number of connections to servers that were tried.
func (w *world) connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.dialed)
}

// eventsAfterClose closes the proxy and returns the last events.
func (w *world) eventsAfterClose() (last []Event) {
	w.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Final {
			last = append(last, e)
		}
	}
	return last
}

// serveHTTP starts a server and returns its port.
func serveHTTP(t testing.TB, handler http.HandlerFunc) (port string) {
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return portOf(s.URL)
}

func serveTLS(t testing.TB, handler http.HandlerFunc) (port string) {
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return portOf(s.URL)
}

// serveTCP starts a server that calls handle for each connection.
func serveTCP(t testing.TB, handle func(net.Conn)) (port string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			wg.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return portOf(l.Addr().String())
}

func portOf(text string) string { return text[strings.LastIndexByte(text, ':')+1:] }

func get(t testing.TB, c *http.Client, url string) (status int, body string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
