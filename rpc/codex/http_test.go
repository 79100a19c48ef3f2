//go:build linux

package codex_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// withHTTP permits http/request.
func withHTTP(set *settings) { set.Codex.HTTP = true }

// site starts an HTTP server.
func site(t *testing.T, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// get returns the params of a GET.
func get(url string) map[string]any {
	return map[string]any{"method": "GET", "url": url, "headers": []any{}, "requestId": "r"}
}

// with returns params with other ones besides.
func with(params map[string]any, more ...any) map[string]any {
	for i := 0; i < len(more); i += 2 {
		params[more[i].(string)] = more[i+1]
	}
	return params
}

func header(name, value string) map[string]string {
	return map[string]string{"name": name, "value": value}
}

type httpReply struct {
	Status     int
	Headers    []struct{ Name, Value string }
	BodyBase64 []byte
}

func (r *httpReply) values(name string) (all []string) {
	for _, h := range r.Headers {
		if h.Name == name {
			all = append(all, h.Value)
		}
	}
	return all
}

// delta is a part of a streamed body.
type delta struct {
	RequestID   string
	Seq         int64
	DeltaBase64 []byte
	Done        bool
	Error       *string
}

// delta returns the next notification, which must be a part of a body.
func (p *peer) delta() (d delta) {
	p.t.Helper()
	m := p.next()
	if m.Method != "http/request/bodyDelta" {
		p.t.Fatalf("%s %s %+v instead of a part of a body", m.Method, m.Result, m.Error)
	}
	if err := json.Unmarshal(m.Params, &d); err != nil {
		p.t.Fatal(err)
	}
	return d
}

// TestHTTPIsOff checks that the method is unknown unless the server permits it.
func TestHTTPIsOff(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.client()
	c.refused("http/request", get("http://127.0.0.1:1/"), -32601)
	s.connect("").refused("http/request", get("http://127.0.0.1:1/"), -32601)
}

// TestHTTPRequest checks what is sent, and what is returned, when the body is not streamed.
func TestHTTPRequest(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	s := site(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header()["X-A"] = []string{"1", "2", "\xff"}
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "hello")
	})
	c := serve(t, withHTTP).client()
	var r httpReply
	c.mustCall("http/request", with(get(s.URL+"/p?q=1"), "method", "POST", "bodyBase64", "eHl6", "headers", []any{
		header("X-B", "1"), header("x-b", "2"), header("Authorization", "Bearer t"), header("Content-Length", "3"),
		header("Host", strings.TrimPrefix(s.URL, "http://")),
	}), &r)
	if r.Status != http.StatusTeapot || string(r.BodyBase64) != "hello" || !slices.Equal(r.values("x-a"), []string{"1", "2"}) {
		t.Errorf("%+v", r)
	}
	if got.Method != "POST" || got.URL.String() != "/p?q=1" || string(body) != "xyz" || got.ContentLength != 3 ||
		!slices.Equal(got.Header["X-B"], []string{"1", "2"}) || got.Header.Get("Authorization") != "Bearer t" {
		t.Errorf("%+v %q", got, body)
	}
	if names := len(got.Header); got.Header.Get("Accept") != "*/*" || got.Header["User-Agent"] != nil || names != 5 {
		t.Errorf("other headers than those of the client: %v", got.Header)
	}
	c.mustCall("http/request", with(get(s.URL), "method", "HEAD"), &r)
	if r.Status != http.StatusTeapot || len(r.BodyBase64) != 0 {
		t.Errorf("%+v", r)
	}
}

// TestHTTPParams checks that params that are not valid, or would make a request another one than it seems,
// are refused before anything is sent.
func TestHTTPParams(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	s := site(t, func(http.ResponseWriter, *http.Request) { sent.Add(1) })
	c := serve(t, withHTTP).client()
	for name, change := range map[string][]any{
		"no id": {"requestId", ""}, "long id": {"requestId", strings.Repeat("x", 257)},
		"method": {"method", "A B"}, "no method": {"method", ""}, "CONNECT": {"method", "CONNECT"},
		"long method": {"method", strings.Repeat("X", 33)},
		"scheme":      {"url", "ftp://127.0.0.1/"}, "relative": {"url", "/x"}, "opaque": {"url", "http:127.0.0.1"}, "no host": {"url", "http:///x"},
		"long url": {"url", s.URL + "/" + strings.Repeat("x", 16<<10)}, "control": {"url", s.URL + "/\x01"},
		"long host": {"url", "http://" + strings.Repeat("x", 254) + "/"}, "file": {"url", "file:///etc/passwd"},
		"unicode host": {"url", strings.Replace(s.URL, "127", "１２７", 1)}, "port 0": {"url", "http://127.0.0.1:0/"}, "large port": {"url", "http://127.0.0.1:65536/"},
		"policy": {"redirectPolicy", "x"}, "time": {"timeoutMs", -1}, "body": {"bodyBase64", "???"},
		"header name": {"headers", []any{header("a b", "x")}}, "header value": {"headers", []any{header("a", "x\r\nb: c")}},
		"other host": {"headers", []any{header("Host", "other.example")}}, "length": {"headers", []any{header("content-length", "1")}},
		"upgrade": {"headers", []any{header("Upgrade", "websocket")}}, "encoding": {"headers", []any{header("transfer-encoding", "chunked")}},
		"variable": {"headers", []any{map[string]any{"name": "a", "value": "", "valueEnvVar": "API_KEY"}}},
		"headers":  {"headers", slices.Repeat([]any{header("a", "x")}, 257)}, "large": {"headers", []any{header("a", strings.Repeat("x", 64<<10))}},
	} {
		if text := c.refused("http/request", with(get(s.URL), change...), -32602); strings.Contains(text, "passwd") {
			t.Errorf("%s: %s", name, text)
		}
	}
	if sent.Load() > 0 {
		t.Error("a request was sent")
	}
}

// TestHTTPStream checks that the parts of a body follow the reply as they arrive, and in their order.
func TestHTTPStream(t *testing.T) {
	t.Parallel()
	more := make(chan struct{})
	s := site(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "a")
		_ = http.NewResponseController(w).Flush()
		<-more
		if r.URL.Path == "/broken" {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "b")
	})
	t.Cleanup(func() { close(more) })
	c := serve(t, withHTTP).client()
	for _, path := range []string{"/whole", "/broken"} {
		var r httpReply
		streamed := func() map[string]any {
			return with(get(s.URL+path), "streamResponse", true, "requestId", "s")
		}
		c.mustCall("http/request", streamed(), &r)
		if d := c.delta(); d.Seq != 1 || string(d.DeltaBase64) != "a" || d.Done || d.RequestID != "s" || len(r.BodyBase64) > 0 {
			t.Errorf("%s: %+v", path, d)
		}
		c.refused("http/request", streamed(), -32602) // the id is in use
		more <- struct{}{}
		text, seq := "", int64(2)
		d := c.delta()
		for ; !d.Done; d = c.delta() {
			text += string(d.DeltaBase64)
			if d.Seq != seq || d.Error != nil {
				t.Errorf("%s: %+v", path, d)
			}
			seq++
		}
		if broken := path == "/broken"; d.Seq != seq || (d.Error != nil) != broken || (text == "b") == broken || len(d.DeltaBase64) > 0 {
			t.Errorf("%s: %q %+v", path, text, d)
		}
	}
	eventually(t, "the id can be used again", func() bool {
		m := c.call("http/request", with(get("http://127.0.0.1:1/"), "streamResponse", true, "requestId", "s"))
		return m.Error.Code == -32603
	})
}

// TestHTTPBackpressure checks that the server reads no more of a body than the client takes.
func TestHTTPBackpressure(t *testing.T) {
	t.Parallel()
	const most, whole = 100 << 20, 1 << 30 // what may be in buffers of the kernel and the server; the body
	var written atomic.Int64
	blocked := make(chan error, 1)
	s := site(t, func(w http.ResponseWriter, _ *http.Request) {
		piece := make([]byte, 1<<20)
		for written.Load() < whole {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(3 * time.Second))
			n, err := w.Write(piece)
			written.Add(int64(n))
			if err != nil {
				blocked <- err
				return
			}
		}
		blocked <- nil
	})
	c := serve(t, withHTTP).client()
	c.request("http/request", with(get(s.URL), "streamResponse", true))
	select {
	case <-blocked:
	case <-time.After(testTimeout):
		t.Fatal("the body is neither read nor blocked")
	}
	if n := written.Load(); n > most {
		t.Errorf("%d bytes were read for a client that takes none", n)
	}
}

// TestHTTPRedirects checks that redirects are followed or returned as the client says, that there is a limit, and
// that credentials are not sent to another origin, nor back from there.
func TestHTTPRedirects(t *testing.T) {
	t.Parallel()
	var seen []string
	note := func(r *http.Request) {
		seen = append(seen, fmt.Sprint(r.URL.Path, r.Header["Authorization"], r.Header["Cookie"], r.Header["X-Key"], r.Header["Referer"]))
	}
	var one *httptest.Server
	two := site(t, func(w http.ResponseWriter, r *http.Request) {
		note(r)
		http.Redirect(w, r, one.URL+"/back", http.StatusFound)
	})
	one = site(t, func(w http.ResponseWriter, r *http.Request) {
		note(r)
		switch r.URL.Path {
		case "/same":
			http.Redirect(w, r, "/end", http.StatusFound)
		case "/other":
			http.Redirect(w, r, two.URL+"/two", http.StatusTemporaryRedirect)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/ftp":
			http.Redirect(w, r, "ftp://127.0.0.1/", http.StatusFound)
		}
	})
	c := serve(t, withHTTP).client()
	credentials := []any{header("Authorization", "a"), header("Cookie", "c"), header("X-Key", "k")}
	for path, want := range map[string][]string{
		"/same":  {"/same[a] [c] [k] []", "/end[a] [c] [k] [" + one.URL + "/same?secret]"},
		"/other": {"/other[a] [c] [k] []", "/two[] [] [k] []", "/back[] [] [k] []"},
	} {
		seen = nil
		var r httpReply
		c.mustCall("http/request", with(get(one.URL+path+"?secret"), "headers", credentials), &r)
		if r.Status != http.StatusOK || !slices.Equal(seen, want) {
			t.Errorf("%s: %d %q", path, r.Status, seen)
		}
	}
	var r httpReply
	c.mustCall("http/request", with(get(one.URL+"/same"), "redirectPolicy", "stop"), &r)
	if r.Status != http.StatusFound || !slices.Equal(r.values("location"), []string{"/end"}) {
		t.Errorf("%+v", r)
	}
	seen = nil
	c.refused("http/request", get(one.URL+"/loop"), -32603)
	if len(seen) != 11 {
		t.Errorf("%d requests", len(seen))
	}
	c.refused("http/request", get(one.URL+"/ftp"), -32603)
}

// TestHTTPBounds checks the time of a request, the size of a body, and the number of requests that run.
func TestHTTPBounds(t *testing.T) {
	t.Parallel()
	var running atomic.Int64
	s := site(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hang":
			running.Add(1)
			<-r.Context().Done()
			running.Add(-1)
		case "/head":
			w.Header().Set("X-A", strings.Repeat("x", 128<<10))
		case "/heads":
			w.Header()["X-A"] = make([]string, 257)
		case "/large":
			_, _ = w.Write(make([]byte, 300<<10))
		case "/known":
			w.Header().Set("Content-Length", strconv.Itoa(300<<10))
			_, _ = w.Write(make([]byte, 300<<10))
		case "/most":
			_, _ = w.Write(make([]byte, 256<<10))
		}
	})
	c := serve(t, withHTTP, func(set *settings) { set.Codex.MaxHTTPBody = 256 << 10 }).client()
	if text := c.refused("http/request", with(get(s.URL+"/hang"), "timeoutMs", 50), -32603); !strings.Contains(text, "50ms") {
		t.Error(text)
	}
	for _, path := range []string{"/large", "/known"} {
		if text := c.refused("http/request", get(s.URL+path), -32603); !strings.Contains(text, "262144 bytes") {
			t.Errorf("%s: %s", path, text)
		}
	}
	c.refused("http/request", get(s.URL+"/head"), -32603)
	c.refused("http/request", get(s.URL+"/heads"), -32603)
	var r httpReply
	c.mustCall("http/request", get(s.URL+"/most"), &r)
	if len(r.BodyBase64) != 256<<10 {
		t.Errorf("%d bytes", len(r.BodyBase64))
	}
	eventually(t, "the request has ended", func() bool { return running.Load() == 0 })
	for range 64 {
		c.request("http/request", get(s.URL+"/hang"))
	}
	c.refused("http/request", get(s.URL+"/hang"), -32600)
	c.mustCall("environment/status", struct{}{}, nil) // other requests are carried out
	eventually(t, "all requests are sent", func() bool { return running.Load() == 64 })
	c.drop()
	eventually(t, "the requests end with their connection", func() bool { return running.Load() == 0 })
}

// TestHTTPRequestsOfPrincipal checks that the requests of a principal on all its connections have a bound, of which
// others notice nothing, and that they can be made again afterwards.
func TestHTTPRequestsOfPrincipal(t *testing.T) {
	t.Parallel()
	var running atomic.Int64
	s := site(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			running.Add(1)
			<-r.Context().Done()
			running.Add(-1)
		}
	})
	service := serve(t, withHTTP)
	clients := []*peer{service.client(), service.client(), service.client()}
	for _, c := range clients[:2] {
		for range 64 {
			c.request("http/request", get(s.URL+"/hang"))
		}
	}
	eventually(t, "all requests are sent", func() bool { return running.Load() == 128 })
	clients[2].refused("http/request", get(s.URL), -32600)
	other := service.connect("other")
	other.initialize("")
	other.mustCall("http/request", get(s.URL), nil)
	clients[0].drop()
	eventually(t, "there is room again", func() bool { return clients[2].call("http/request", get(s.URL)).Error == nil })
}

// TestHTTPBodiesOfClientsThatDoNotRead checks that the bodies for clients of a principal that do not read stay
// within a bound, and that other principals are served.
func TestHTTPBodiesOfClientsThatDoNotRead(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	s := site(t, func(w http.ResponseWriter, _ *http.Request) {
		served.Add(1)
		_, _ = w.Write(make([]byte, 1<<20))
	})
	service := serve(t, withHTTP, func(set *settings) { set.Server.WriteTimeout, set.Codex.MaxHTTPBody = time.Hour, 1<<20 })
	greedy := service.client()
	_ = greedy.tcp.(*net.TCPConn).SetReadBuffer(64 << 10)
	ids := map[string]bool{}
	for range 20 {
		ids[greedy.request("http/request", with(get(s.URL), "requestId", "r"+strconv.Itoa(len(ids))))] = true
	}
	eventually(t, "all were asked for", func() bool { return served.Load() >= 20 })
	other := service.connect("other")
	other.initialize("")
	other.mustCall("http/request", get(s.URL), nil)
	failed := 0
	for range 20 {
		m := greedy.next()
		if m.Error != nil && m.Error.Code != -32603 {
			t.Errorf("%+v", m.Error)
		}
		if m.Error != nil {
			failed++
		}
		delete(ids, string(m.ID))
	}
	if len(ids) > 0 || failed == 0 {
		t.Errorf("%d without a reply, %d without memory", len(ids), failed)
	}
}
