package auth

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// anyCertificate identifies every caller with TLS.
type anyCertificate struct{ id access.Identity }

func (s anyCertificate) Identify(c Credential) (access.Identity, error) {
	if c.TLS == nil {
		return access.Identity{}, ErrUnknown
	}
	return s.id, nil
}

func (s anyCertificate) Accepts(id access.Identity) bool { return id == s.id }

// call is a request of a test.
type call struct {
	host, origin, token string
	peer                access.Peer
	tls                 bool
}

func (c call) request() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/ws", nil)
	r.Host = "localhost:8003"
	if c.host != "" {
		r.Host = c.host
	}
	if c.origin != "" {
		r.Header.Set("Origin", c.origin)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.tls {
		r.TLS = &tls.ConnectionState{}
	}
	return r.WithContext(access.WithPeer(r.Context(), c.peer))
}

// TestChain: which credential decides, and the status of a refusal.
func TestChain(t *testing.T) {
	var (
		own     = access.Peer{Unix: true, Known: true, UID: os.Geteuid()}
		other   = access.Peer{Unix: true, Known: true, UID: os.Geteuid() + 1}
		unknown = access.Peer{Unix: true}
		proxy   = access.Peer{Unix: true, Proxy: true, Known: true, UID: os.Geteuid()}
	)
	alice := UserToken("right")
	alice.Name = "alice"
	old := UserToken("expired")
	old.Expires = time.Now().Add(-time.Second)
	tokens := NewTokens(UserToken("revoked"), UserToken("accepted again"))
	tokens.Set([]Token{alice})
	tokens.Set([]Token{alice, old, UserToken("accepted again")})
	full := &Chain{
		Origins: []string{"https://app.example"},
		Sources: []Source{tokens, anyCertificate{access.Identity{Principal: "bob"}}, OwnUser()},
	}
	const page, same = "https://app.example", "http://localhost:8003"
	for name, c := range map[string]struct {
		chain  *Chain
		call   call
		who    string // the principal, or ""
		status int
		detail string
	}{
		"zero value":                    {&Chain{}, call{}, "", 401, "no credential was presented"},
		"zero value, own process":       {&Chain{}, call{peer: own}, "", 403, ""},
		"nothing":                       {full, call{}, "", 401, "no credential was presented"},
		"token":                         {full, call{token: "right"}, "alice", 0, ""},
		"wrong token":                   {full, call{token: "wrong"}, "", 401, "the token is unknown"},
		"expired token":                 {full, call{token: "expired"}, "", 401, "the token has expired"},
		"revoked token":                 {full, call{token: "revoked"}, "", 401, "the token was revoked"},
		"token that is accepted again":  {full, call{token: "accepted again"}, "user", 0, ""},
		"certificate":                   {full, call{tls: true}, "bob", 0, ""},
		"certificate, token":            {full, call{tls: true, token: "right"}, "alice", 0, ""},
		"certificate, wrong token":      {full, call{tls: true, token: "wrong"}, "", 401, "the token is unknown"},
		"certificate, allowed origin":   {full, call{tls: true, origin: page}, "bob", 0, ""},
		"certificate, same origin":      {full, call{tls: true, origin: same}, "", 401, "no credential was presented"},
		"token, same origin":            {full, call{token: "right", origin: same}, "alice", 0, ""},
		"token, foreign origin":         {full, call{token: "right", origin: "https://evil.example"}, "", 403, ""},
		"own process":                   {full, call{peer: own}, "user", 0, ""},
		"own process, foreign host":     {full, call{peer: own, host: "evil.example"}, "", 403, ""},
		"own process, same origin":      {full, call{peer: own, origin: same}, "", 401, "no credential was presented"},
		"own process, token":            {full, call{peer: own, token: "right"}, "alice", 0, ""},
		"own process, wrong token":      {full, call{peer: own, token: "wrong"}, "", 401, "the token is unknown"},
		"another user's process":        {full, call{peer: other}, "", 403, ""},
		"another user's process, token": {full, call{peer: other, token: "right"}, "alice", 0, ""},
		"unknown process":               {full, call{peer: unknown}, "", 403, ""},
		"proxy":                         {full, call{peer: proxy}, "", 401, "no credential was presented"},
		"proxy, token":                  {full, call{peer: proxy, token: "right"}, "alice", 0, ""},
		"open":                          {Loopback(), call{}, "user", 0, ""},
		"open, token":                   {Loopback(), call{token: "any"}, "user", 0, ""},
		"open, same origin":             {Loopback(), call{origin: same}, "", 403, ""},
		"open, foreign host":            {Loopback(), call{host: "evil.example"}, "", 403, ""},
		"open, own process, token":      {Loopback(), call{peer: own, token: "any"}, "user", 0, ""},
		"open, another user's process":  {Loopback(), call{peer: other}, "", 403, ""},
		"open, proxy":                   {Loopback(), call{peer: proxy}, "", 401, "no credential was presented"},
	} {
		id, err := c.chain.Authenticate(c.call.request())
		var refusal *access.Refusal
		switch {
		case c.status == 0 && (err != nil || id.Principal != c.who):
			t.Errorf("%s: %+v, %v", name, id, err)
		case c.status == 0 && !c.chain.Accepts(id):
			t.Errorf("%s: %+v is not accepted any more", name, id)
		case c.status != 0 && (!errors.As(err, &refusal) || refusal.Status != c.status || refusal.Detail != c.detail || id != access.Identity{}):
			t.Errorf("%s: %+v, %v", name, id, err)
		case c.status == 401 && refusal.Reason != errMissing.Reason:
			t.Errorf("%s: the caller is told %q", name, refusal.Reason)
		}
	}
}

// TestAuthenticateToken: only tokens that are accepted renew a connection.
func TestAuthenticateToken(t *testing.T) {
	c := &Chain{Sources: []Source{NewTokens(UserToken("right")), OwnUser()}}
	if id, err := c.AuthenticateToken("right", access.Peer{}); err != nil || id.Principal != access.User {
		t.Errorf("%+v, %v", id, err)
	}
	for _, token := range []string{"", "wrong", "righ", "rightt"} {
		if id, err := c.AuthenticateToken(token, access.Peer{}); err == nil {
			t.Errorf("%q is %+v", token, id)
		}
	}
	if id, err := Loopback().AuthenticateToken("any", access.Peer{}); err == nil {
		t.Errorf("without tokens: %+v", id)
	}
}

// TestTokensAreRevoked: a token is accepted as long as it is in the set with at least the same role;
// its expiry does not matter.
func TestTokensAreRevoked(t *testing.T) {
	expires := UserToken("a")
	expires.Expires = time.Now().Add(time.Hour)
	tokens := NewTokens(expires, UserToken("b"))
	a, err := tokens.Identify(Credential{Token: "a"})
	if err != nil || !a.Expires.Equal(expires.Expires) {
		t.Fatal(a, err)
	}
	b, err := tokens.Identify(Credential{Token: "b"})
	if err != nil || a.Credential == b.Credential {
		t.Fatal(a, b, err)
	}
	expires.Expires = time.Now().Add(-time.Hour)
	tokens.Set([]Token{expires})
	if !tokens.Accepts(a) || tokens.Accepts(b) {
		t.Error("the wrong token is revoked")
	}
	expires.Role = access.Admin
	tokens.Set([]Token{expires})
	if !tokens.Accepts(a) {
		t.Error("a token that has more rights now is not accepted")
	}
	expires.Role = access.Observe
	tokens.Set([]Token{expires})
	if tokens.Accepts(a) {
		t.Error("a token that has less rights now is accepted")
	}
}

// TestRevokedTokensAreBounded: the oldest revoked tokens are forgotten.
func TestRevokedTokensAreBounded(t *testing.T) {
	tokens := NewTokens()
	name := func(i int) string { return "token " + strconv.Itoa(i) }
	const more = 10
	for i := range maxRevoked + more {
		tokens.Set([]Token{UserToken(name(i))})
	}
	tokens.Set(nil)
	for i, want := range map[int]error{0: ErrUnknown, more - 1: ErrUnknown, more: revoked, maxRevoked + more - 1: revoked} {
		if _, err := tokens.Identify(Credential{Token: name(i)}); err != want {
			t.Errorf("token %d: %v, want %v", i, err, want)
		}
	}
}
