//go:build linux

package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/rpc/auth"
)

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// tokenAuth accepts a token over TCP, and processes of this user over a Unix socket.
func tokenAuth(token string) *auth.Chain {
	return &auth.Chain{Sources: []auth.Source{auth.NewTokens(auth.UserToken(token)), auth.OwnUser()}}
}

func contains(s, part string) bool { return strings.Contains(s, part) }

func (s *service) dialToken(t testing.TB, token string) *peer {
	t.Helper()
	p, err := s.tryDial(t, dialing{path: "/ws", header: bearer(token)})
	if err != nil {
		t.Fatal(err)
	}
	p.decode(p.notification("connected").Params, &p.hello)
	return p
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func basic(user, password string) http.Header {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header
}

func added(h http.Header, name, value string) http.Header {
	h.Add(name, value)
	return h
}

// authCase is a request for an upgrade, and the status of its refusal; 0: it is accepted.
type authCase struct {
	name   string
	d      dialing
	status int
}

const rightBearer = "Bearer s3cret"

// authService starts a service with a token, and with names that Host and Origin may have.
func authService(t *testing.T) *service {
	return serve(t, func(set *settings) {
		chain := tokenAuth("s3cret")
		chain.Hosts, chain.Origins = []string{"runnel.example"}, []string{"https://app.example"}
		set.Server.Auth = chain
		set.Server.MaxConnections = 2 // a refused one takes no slot
	})
}

// checkAuth checks that callers are accepted or refused, with the HTTP status and the reason.
func (s *service) checkAuth(t *testing.T, cases []authCase) {
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			if test.d.path == "" {
				test.d.path = "/ws"
			}
			var p *peer
			var err error
			eventually(t, "an answer that is not 503", func() bool { // the previous connection may still have a slot
				p, err = s.tryDial(t, test.d)
				return p.resp == nil || p.resp.StatusCode != 503
			})
			switch {
			case p.resp == nil:
				t.Fatal(err)
			case test.status != 0 && p.resp.StatusCode != test.status:
				t.Fatalf("status %d, want %d", p.resp.StatusCode, test.status)
			case test.status == 401 && p.resp.Header.Get("WWW-Authenticate") != "Bearer": // no Basic: browsers would ask for it
				t.Errorf("the challenge: %v", p.resp.Header)
			case test.status == 0 && err != nil:
				t.Fatal(err)
			}
			if test.status != 0 {
				return
			}
			want := ""
			if test.d.protocols != nil {
				want = "runnel.v1"
			}
			if got := p.resp.Header.Get("Sec-WebSocket-Protocol"); got != want {
				t.Errorf("subprotocol %q, want %q", got, want)
			}
			p.notification("connected")
			if m := p.call("pong", nil); m.Error != nil {
				t.Error(m.text)
			}
			p.reset()
		})
	}
}

// TestToken checks which forms of the token are accepted.
func TestToken(t *testing.T) {
	authService(t).checkAuth(t, []authCase{
		{"no token", dialing{}, 401},
		{"wrong token", dialing{header: bearer("s3cre")}, 401},
		{"longer token", dialing{header: bearer("s3crets")}, 401},
		{"empty token", dialing{header: bearer("")}, 401},
		{"other scheme", dialing{header: header("Authorization", "Basic s3cret")}, 401},
		{"no scheme", dialing{header: header("Authorization", "s3cret")}, 401},
		{"token in the URL", dialing{path: "/ws?token=s3cret&access_token=s3cret"}, 401},
		{"wrong subprotocol", dialing{protocols: []string{"runnel.v1", "bearer.nope"}}, 401},
		{"header wrong, subprotocol right", dialing{header: bearer("nope"), protocols: []string{"runnel.v1", "bearer.s3cret"}}, 401},
		{"header", dialing{header: bearer("s3cret")}, 0},
		{"header in lower case", dialing{header: header("Authorization", "bearer s3cret")}, 0},
		{"subprotocol", dialing{protocols: []string{"runnel.v1", "bearer.s3cret"}}, 0},
		{"old path", dialing{path: "/ws/mcp", header: bearer("s3cret")}, 0},
		{"old path, no token", dialing{path: "/ws/mcp"}, 401},
		{"Basic", dialing{header: basic("anybody", "s3cret")}, 0},
		{"Basic without a user", dialing{header: basic("", "s3cret")}, 0},
		{"Basic, wrong", dialing{header: basic("s3cret", "nope")}, 401},
		{"Basic, wrong, subprotocol right", dialing{header: basic("", "nope"), protocols: []string{"runnel.v1", "bearer.s3cret"}}, 401},
	})
}

// TestOrigin checks which origins are accepted, with and without a token.
func TestOrigin(t *testing.T) {
	s := authService(t)
	s.checkAuth(t, []authCase{
		{"foreign Origin", dialing{header: header("Authorization", rightBearer, "Origin", "https://evil.example")}, 403},
		{"foreign Origin, no token", dialing{header: header("Origin", "https://evil.example")}, 403},
		{"Origin that is the Host", dialing{header: header("Authorization", rightBearer, "Origin", "http://"+s.address)}, 0},
		{"Origin that is the Host, by https", dialing{header: header("Authorization", rightBearer, "Origin", "https://"+s.address)}, 0},
		{"Origin that is the Host, in other case", dialing{host: "localhost:1", header: header("Authorization", rightBearer, "Origin", "http://LOCALHOST:1")}, 0},
		{"Origin that is the Host, subprotocol", dialing{protocols: []string{"runnel.v1", "bearer.s3cret"}, header: header("Origin", "http://"+s.address)}, 0},
		{"Origin that is the Host, default port", dialing{host: "localhost:443", header: header("Authorization", rightBearer, "Origin", "https://localhost")}, 0},
		{"Origin that is the Host, no port", dialing{host: "[::1]", header: header("Authorization", rightBearer, "Origin", "http://[::1]:80")}, 0},
		{"Origin that is the Host, no token", dialing{header: header("Origin", "http://"+s.address)}, 401},
		{"Origin that is the Host, foreign", dialing{host: "evil.example", header: header("Authorization", rightBearer, "Origin", "http://evil.example")}, 403},
		{"Origin that is the Host, other port", dialing{host: "localhost:1", header: header("Authorization", rightBearer, "Origin", "http://localhost:2")}, 403},
		{"Origin that is the Host, other default port", dialing{host: "localhost:80", header: header("Authorization", rightBearer, "Origin", "https://localhost")}, 403},
		{"Origin that is the Host, other name", dialing{host: "localhost:1", header: header("Authorization", rightBearer, "Origin", "http://127.0.0.1:1")}, 403},
		{"Origin that is the Host, other scheme", dialing{header: header("Authorization", rightBearer, "Origin", "ftp://"+s.address)}, 403},
		{"Origin that is the Host, and foreign Origin", dialing{header: header("Authorization", rightBearer, "Origin", "http://"+s.address, "Origin", "https://evil.example")}, 403},
		{"Basic with an Origin", dialing{header: added(basic("", "s3cret"), "Origin", "https://app.example")}, 401},
		{"Basic with an Origin that is the Host", dialing{header: added(basic("", "s3cret"), "Origin", "http://"+s.address)}, 401},
		{"Basic with an Origin, and the subprotocol", dialing{
			header: added(basic("", "s3cret"), "Origin", "https://app.example"), protocols: []string{"runnel.v1", "bearer.s3cret"},
		}, 0},
		{"Origin null", dialing{header: header("Authorization", rightBearer, "Origin", "null")}, 403},
		{"Origin whose end is right", dialing{header: header("Authorization", rightBearer, "Origin", "https://evil.app.example")}, 403},
		{"Origin with another scheme", dialing{header: header("Authorization", rightBearer, "Origin", "http://app.example")}, 403},
		{"Origin with a port", dialing{header: header("Authorization", rightBearer, "Origin", "https://app.example:444")}, 403},
		{"right and foreign Origin", dialing{header: header("Authorization", rightBearer, "Origin", "https://app.example", "Origin", "https://evil.example")}, 403},
		{"right Origin", dialing{header: header("Authorization", rightBearer, "Origin", "https://app.example")}, 0},
		{"right Origin, no token", dialing{header: header("Origin", "https://app.example")}, 401},
	})
}

// TestHost checks which names of the server are accepted.
func TestHost(t *testing.T) {
	authService(t).checkAuth(t, []authCase{
		{"foreign Host", dialing{host: "evil.example", header: bearer("s3cret")}, 403},
		{"foreign Host, no token", dialing{host: "evil.example:8003"}, 403},
		{"Host whose beginning is right", dialing{host: "127.0.0.1.evil.example", header: bearer("s3cret")}, 403},
		{"Host that is like localhost", dialing{host: "localhost.evil.example", header: bearer("s3cret")}, 403},
		{"Host 0.0.0.0", dialing{host: "0.0.0.0:8003", header: bearer("s3cret")}, 403},
		{"Host localhost", dialing{host: "localhost:1234", header: bearer("s3cret")}, 0},
		{"Host LOCALHOST", dialing{host: "LOCALHOST", header: bearer("s3cret")}, 0},
		{"Host 127.0.0.2", dialing{host: "127.0.0.2", header: bearer("s3cret")}, 0},
		{"Host ::1", dialing{host: "[::1]:80", header: bearer("s3cret")}, 0},
		{"Host that is allowed", dialing{host: "runnel.example:80", header: bearer("s3cret")}, 0},
		{"Host that is allowed, no token", dialing{host: "runnel.example"}, 401},
	})
}

// TestSameOriginNeedsCredential: without a token, a page from the server's own Host is refused
// like that of any other origin.
func TestSameOriginNeedsCredential(t *testing.T) {
	s := serve(t)
	if p, err := s.tryDial(t, dialing{path: "/ws", header: header("Origin", "http://"+s.address)}); err == nil || p.resp.StatusCode != 403 {
		t.Errorf("the request was accepted: %v", err)
	}
}

// TestHealth: /health needs no token. While the server drains it is 503, and no WebSocket is
// accepted.
func TestHealth(t *testing.T) {
	s := serve(t, func(set *settings) { set.Server.Auth = tokenAuth("s3cret") })
	for _, path := range []string{"/health", "/healthz"} {
		status, body := s.get(t, path)
		if status != 200 || body != `{"status":"healthy"}` {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	for path, want := range map[string]int{"/": 404, "/wsx": 404, "/ws/other": 404} {
		if status, _ := s.get(t, path); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
	p := s.dialToken(t, "s3cret")
	p.start(sleeper)
	s.registry.Drain()
	for _, path := range []string{"/health", "/healthz"} {
		if status, _ := s.get(t, path); status != 503 {
			t.Errorf("%s while draining: %d", path, status)
		}
	}
	q, err := s.tryDial(t, dialing{path: "/ws", header: bearer("s3cret")})
	if err == nil || q.resp == nil || q.resp.StatusCode != 503 {
		t.Fatalf("a connection while draining: %v, %+v", err, q.resp)
	}
	if body, err := io.ReadAll(q.resp.Body); string(body) != "shutting down\n" || err != nil {
		t.Errorf("the reason is %q, %v", body, err)
	}
}

// TestRefusalsAreLimited: a peer that presents wrong tokens gets 429 after a while, on a connection
// that is closed. A valid token of the same peer is accepted all the same.
func TestRefusalsAreLimited(t *testing.T) {
	s := serve(t, func(set *settings) { set.Server.Auth = tokenAuth("s3cret") })
	refused := 0
	for range 90 {
		p, err := s.tryDial(t, dialing{path: "/ws", header: bearer("wrong")})
		if err == nil || p.resp == nil {
			t.Fatal("a wrong token:", err)
		}
		switch p.resp.StatusCode {
		case 401:
		case 429:
			refused++
			if p.resp.Header.Get("Retry-After") != "1" || !p.resp.Close {
				t.Fatalf("%+v", p.resp)
			}
		default:
			t.Fatal(p.resp.Status)
		}
	}
	if refused < 10 {
		t.Errorf("%d requests were refused with 429", refused)
	}
	for range 5 {
		s.dialToken(t, "s3cret").reset()
	}
}
