//go:build linux

package server_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// callers is an authenticator of a test: the header X-Caller, or a token, is the identity:
// PRINCIPAL[,ROLE[,SECONDS until it expires]]. Without one the caller is access.User.
type callers struct {
	asked      atomic.Int32 // tokens that were checked
	everyToken string       // if not "", the identity of the bearer of any token

	mu      sync.Mutex
	revoked map[string]bool // texts that are not accepted any more
}

func (a *callers) Authenticate(r *http.Request) (access.Identity, error) {
	if text := r.Header.Get("X-Caller"); text != "" {
		return a.AuthenticateToken(text, access.PeerOf(r.Context()))
	}
	return access.Identity{Principal: access.User}, nil
}

func (a *callers) AuthenticateToken(text string, _ access.Peer) (access.Identity, error) {
	a.asked.Add(1)
	if a.everyToken != "" {
		text = a.everyToken
	}
	id := access.Identity{Credential: text}
	principal, rest, _ := strings.Cut(text, ",")
	role, seconds, _ := strings.Cut(rest, ",")
	id.Principal = principal
	if d, err := time.ParseDuration(seconds + "s"); err == nil {
		id.Expires = time.Now().Add(d)
	}
	if id.Role.UnmarshalText([]byte(role)) != nil || !a.Accepts(id) {
		return access.Identity{}, &access.Refusal{Status: http.StatusUnauthorized, Reason: "unknown caller"}
	}
	return id, nil
}

func (a *callers) Accepts(id access.Identity) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.revoked[id.Credential]
}

func (a *callers) revoke(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.revoked == nil {
		a.revoked = map[string]bool{}
	}
	a.revoked[text] = true
}

// sameTeam puts principals into one group if their names are equal up to a hyphen.
func sameTeam(a, b string) bool {
	teamA, _, _ := strings.Cut(a, "-")
	teamB, _, _ := strings.Cut(b, "-")
	return teamA == teamB
}

// as connects as a caller of callers and reads connected.
func (s *service) as(t testing.TB, caller string) *peer {
	t.Helper()
	p, err := s.tryDial(t, dialing{path: "/ws", header: http.Header{"X-Caller": {caller}}})
	if err != nil {
		t.Fatal(err)
	}
	p.decode(p.notification("connected").Params, &p.hello)
	return p
}
