package egress

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

func TestPlainHTTP(t *testing.T) {
	checkLeaks(t)
	port := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Got", fmt.Sprint(r.Host, " ", r.RequestURI, " ", r.ContentLength, " ", r.TransferEncoding))
		if r.URL.Query().Has("chunks") {
			for _, part := range bytes.SplitAfter(body, []byte("b")) {
				w.Write(part)
				w.(http.Flusher).Flush()
			}
			return
		}
		w.Write(body)
	})
	w := newWorld(t, "site.example:"+port)
	c := w.client(t, "http")
	base := "http://site.example:" + port
	for _, test := range []struct{ method, path, body, want string }{
		{"GET", "/a%2fb//c?x=1&y", "", "site.example:" + port + " /a%2fb//c?x=1&y 0 []"},
		{"HEAD", "", "", "site.example:" + port + " / 0 []"},
		{"POST", "/?chunks", strings.Repeat("ab", 5000), "site.example:" + port + " /?chunks 10000 []"},
		{"POST", "/?streamed", strings.Repeat("a", 1<<20), "site.example:" + port + " /?streamed -1 [chunked]"},
		{"DELETE", "/x", "", "site.example:" + port + " /x 0 []"},
	} {
		var body io.Reader = strings.NewReader(test.body)
		if strings.Contains(test.path, "streamed") {
			body = io.MultiReader(body)
		}
		req, err := http.NewRequest(test.method, base+test.path, body)
		if err != nil {
			t.Fatal(err)
		}
		if test.body == "" {
			req.Body = nil
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || test.method != "HEAD" && string(got) != test.body || resp.Header.Get("X-Got") != test.want {
			t.Errorf("%s %s: %d bytes, %v, %q", test.method, test.path, len(got), err, resp.Header)
		}
	}
	c.CloseIdleConnections()
	last := w.eventsAfterClose()
	if len(last) != 1 || last[0].Host != "site.example" || !last[0].Allowed() || last[0].Count != 1 || last[0].Address.String() != site ||
		last[0].Up < 1<<20+10000 || last[0].Down < 1<<20+10000 {
		t.Errorf("%+v", last)
	}
	if r := w.Report(); len(r.Allowed) != 1 || r.Allowed[0] != last[0] || r.Up != last[0].Up || len(r.Refused) > 0 {
		t.Errorf("%+v", r)
	}
}

// TestRequestsOfAConnection checks each request of a connection that is kept, and that Host has no
// effect.
func TestRequestsOfAConnection(t *testing.T) {
	checkLeaks(t)
	port := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host, r.Header) })
	w := newWorld(t, "site.example:"+port, "www.site.example:"+port)
	conn := w.dial(t)
	request := func(host, rest string) string {
		return "GET http://" + host + ":" + port + "/ HTTP/1.1\r\n" + rest + "\r\n"
	}
	io.WriteString(conn, request("SITE.example.", "Host: secret.example\r\n")+
		request("www.site.example", "Host: 169.254.169.254\r\nConnection: X-Hop, close-not\r\nX-Hop: 1\r\nX-End: 2\r\nProxy-Authorization: Basic x\r\n"+
			"Upgrade: websocket\r\nTE: trailers\r\n")+
		request("other.example", "Host: site.example\r\n")+
		request("site.example", ""))
	r := bufio.NewReader(conn)
	for _, want := range []string{"200 site.example:" + port + "map[]", "200 www.site.example:" + port + "map[X-End:[2]]",
		"403 runnel: other.example:" + port + " is not in network.allow of the sandbox\n"} {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if got := fmt.Sprint(resp.StatusCode, " ", string(body)); err != nil || got != want {
			t.Errorf("%q, %v, not %q", got, err, want)
		}
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("after the refusal: %q, %v", rest, err)
	}
	if slices.Contains(w.resolver.asked, "other.example") {
		t.Error("a name that is not listed was resolved")
	}
}

func TestInvalidRequests(t *testing.T) {
	checkLeaks(t)
	w := newWorld(t, "site.example:80", "127.0.0.1:80")
	for request, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: site.example\r\n\r\n":                                                          "400 this is a proxy",
		"GET https://site.example/ HTTP/1.1\r\n\r\n":                                                            "400 https is reached by CONNECT",
		"GET ftp://site.example/ HTTP/1.1\r\n\r\n":                                                              "400 this is a proxy",
		"GET http:site.example HTTP/1.1\r\n\r\n":                                                                "400 this is a proxy",
		"GET http:///x HTTP/1.1\r\nHost: site.example\r\n\r\n":                                                  "400 this is a proxy",
		"GET http://a@site.example/ HTTP/1.1\r\n\r\n":                                                           "400 the URL has a user",
		"GET http://site.example:0/ HTTP/1.1\r\n\r\n":                                                           "400 not a port",
		"GET http://site.example:99999/ HTTP/1.1\r\n\r\n":                                                       "400 not a port",
		"GET http://site.example%2f@x/ HTTP/1.1\r\n\r\n":                                                        "400 ",
		"GET http://site.example HTTP/1.1\nHost: b\n\n":                                                         "400 a line of the head",
		"GET http://site.example HTTP/2.0\r\n\r\n":                                                              "505 ",
		"PRI * HTTP/2.0\r\n\r\n":                                                                                "505 ",
		"GET http://site.example  HTTP/1.1\r\n\r\n":                                                             "400 ",
		"POST http://site.example HTTP/1.1\r\nContent-Length: -1\r\n\r\n":                                       "400 ",
		"POST http://site.example HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": "400 more than one field",
		"CONNECT site.example HTTP/1.1\r\n\r\n":                                                                 "400 CONNECT: not a port",
		"CONNECT http://site.example:80 HTTP/1.1\r\n\r\n":                                                       "400 ",
		"CONNECT site.example:80/x HTTP/1.1\r\n\r\n":                                                            "400 ",
		"CONNECT a@site.example:80 HTTP/1.1\r\n\r\n":                                                            "400 ",
		"CONNECT site.example:80 HTTP/1.1\r\nContent-Length: 1\r\n\r\nx":                                        "400 CONNECT: CONNECT has a body",
		"CONNECT 2130706433:80 HTTP/1.1\r\nHost: site.example\r\n\r\n":                                          "403 ",
		"CONNECT 0x7f.1:80 HTTP/1.1\r\n\r\n":                                                                    "403 ",
		"CONNECT [::ffff:7f00:2]:80 HTTP/1.1\r\n\r\n":                                                           "403 127.0.0.2:80 is not in network.allow",
		"CONNECT 169.254.169.254:80 HTTP/1.1\r\n\r\n":                                                           "403 ",
		"\x16\x03\x01\x00\x05hello\r\n\r\n":                                                                     "400 ",
		"GET http://site.example/ HTTP/1.1\r\nA: " + strings.Repeat("a", headBytes):                             "431 ",
	} {
		if got := w.ask(t, request); !strings.HasPrefix(got, "HTTP/1.1 "+want) {
			t.Errorf("%.60q: %q", request, got)
		}
	}
	if w.connections() > 0 {
		t.Error("the proxy has connected to something")
	}
}

// TestInformational passes on 100 and 103, and lets the client wait for the former.
func TestInformational(t *testing.T) {
	checkLeaks(t)
	port := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		body, _ := io.ReadAll(r.Body) // sends 100
		w.Write(body)
	})
	w := newWorld(t, "site.example:"+port)
	var seen []int
	got100 := false
	trace := &httptrace.ClientTrace{
		Got100Continue: func() { got100 = true },
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { seen = append(seen, code); return nil },
	}
	req, _ := http.NewRequest("POST", "http://site.example:"+port, strings.NewReader("body"))
	req.Header.Set("Expect", "100-continue")
	resp, err := w.client(t, "http").Do(req.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(body) != "body" || !got100 || !slices.Contains(seen, 103) {
		t.Errorf("%q, %t, %v", body, got100, seen)
	}
}

// rawServer answers each request of a connection with the next of the texts, and closes after them.
func rawServer(t *testing.T, texts ...string) string {
	return serveTCP(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for _, text := range texts {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body)
			io.WriteString(conn, text)
		}
	})
}

func TestResponses(t *testing.T) {
	checkLeaks(t)
	long := "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", headBytes) + "\r\n\r\n"
	for _, test := range []struct{ version, answer, want string }{
		{"1.1", "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"},
		{"1.1", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"},
		{"1.1", "HTTP/1.0 200 Fine\n\nto the end", "HTTP/1.1 200 Fine\r\nConnection: close\r\n\r\nto the end"},
		{"1.0", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nT: t\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nab"},
		{"1.1", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n2;x\r\nab\r\n0\r\nT: t\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0002\r\nab\r\n0\r\n\r\n"},
		{"1.1", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"},
		{"1.1", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "HTTP/1.1 502 "},
		{"1.1", "", "HTTP/1.1 502 "}, {"1.1", "nonsense\r\n\r\n", "HTTP/1.1 502 "}, {"1.1", long, "HTTP/1.1 502 "},
		{"1.1", strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", maxInformational+1),
			strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", maxInformational+1) + "HTTP/1.1 502 "},
	} {
		port := rawServer(t, test.answer)
		w := newWorld(t, "site.example:"+port)
		conn := w.dial(t)
		io.WriteString(conn, "POST http://site.example:"+port+"/ HTTP/"+test.version+"\r\nContent-Length: 1\r\n\r\nx")
		got := make([]byte, len(test.want))
		n, err := io.ReadFull(conn, got)
		if string(got) != test.want {
			t.Errorf("%.60q: %.90q, %v, not %q", test.answer, got[:n], err, test.want)
		}
		conn.Close()
	}
}

// TestConnectionUsedAgain uses a connection to a server for several requests, until the server
// closes it.
func TestConnectionUsedAgain(t *testing.T) {
	checkLeaks(t)
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
	port := rawServer(t, answer, answer)
	w := newWorld(t, "site.example:"+port)
	conn := w.dial(t)
	r := bufio.NewReader(conn)
	for range 5 {
		io.WriteString(conn, "GET http://site.example:"+port+"/ HTTP/1.1\r\n\r\n")
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		io.Copy(io.Discard, resp.Body)
	}
	if w.connections() != 3 {
		t.Errorf("%d connections, not 3", w.connections())
	}
}

// TestUnaskedResponse does not give a client a response that was sent before its request.
func TestUnaskedResponse(t *testing.T) {
	checkLeaks(t)
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
	port := rawServer(t, answer+"a"+answer+"b", answer+"c")
	w := newWorld(t, "site.example:"+port)
	conn := w.dial(t)
	for range 2 {
		converse(t, conn, ">GET http://site.example:"+port+"/ HTTP/1.1\r\n\r\n", "<"+answer+"a")
	}
}

// TestRepeatedRequest repeats a GET, and no POST, when the server closes a connection that is used
// again instead of answering.
func TestRepeatedRequest(t *testing.T) {
	checkLeaks(t)
	port := serveTCP(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		http.ReadRequest(r)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
		http.ReadRequest(r)
	})
	for method, want := range map[string]int{"GET": 200, "POST": 502} {
		w := newWorld(t, "site.example:"+port)
		conn := w.dial(t)
		r := bufio.NewReader(conn)
		for i, want := range []int{200, want} {
			io.WriteString(conn, method+" http://site.example:"+port+"/ HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
			resp, err := http.ReadResponse(r, nil)
			if err != nil || resp.StatusCode != want {
				t.Fatal(method, i, resp, err)
			}
			io.Copy(io.Discard, resp.Body)
		}
	}
}

// TestEarlyResponse gives the client a response that comes before its body was sent.
func TestEarlyResponse(t *testing.T) {
	checkLeaks(t)
	port := serveTCP(t, func(conn net.Conn) {
		http.ReadRequest(bufio.NewReader(conn))
		io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
		linger(conn)
	})
	w := newWorld(t, "site.example:"+port)
	conn := w.dial(t)
	io.WriteString(conn, "POST http://site.example:"+port+"/ HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nxxx")
	got, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 413 ") || !strings.HasSuffix(string(got), "no") {
		t.Errorf("%q, %v", got, err)
	}
}

// TestClientGone closes the connection to the server when the client closes its own before the
// response.
func TestClientGone(t *testing.T) {
	checkLeaks(t)
	ended := make(chan struct{})
	port := serveTCP(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		http.ReadRequest(r)
		ended <- struct{}{}
		r.ReadByte()
		ended <- struct{}{}
	})
	w := newWorld(t, "site.example:"+port)
	conn := w.dial(t)
	io.WriteString(conn, "GET http://site.example:"+port+"/ HTTP/1.1\r\n\r\n")
	<-ended
	conn.Close()
	<-ended
	waitFor(t, "the end of the connection", func() bool { return len(w.slots) == 0 })
	if w.connections() != 1 {
		t.Errorf("%d connections", w.connections())
	}
}
