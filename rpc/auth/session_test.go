package auth

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// TestProcessesOfSessions: a process of a session is who started that session, with at most its
// role, and only as long as its credential is valid.
func TestProcessesOfSessions(t *testing.T) {
	alice, bob := UserToken("alice"), UserToken("bob")
	alice.Name, bob.Name = "alice", "bob"
	bob.Role = access.Admin
	tokens := NewTokens(alice, bob)
	var owner access.Identity
	var found bool
	var failure error
	c := &Chain{
		Sources: []Source{tokens, NewPeers(map[int]string{os.Geteuid(): "uid:me"}, nil)},
		Session: func(syscall.Conn) (access.Identity, bool, error) { return owner, found, failure },
	}
	peer := access.Peer{Unix: true, Known: true, UID: os.Geteuid()}
	want := func(what string, k call, principal string, role access.Role) {
		t.Helper()
		id, err := c.Authenticate(k.request())
		switch {
		case principal == "" && err == nil:
			t.Errorf("%s: %+v is accepted", what, id)
		case principal != "" && (err != nil || id.Principal != principal || id.Role != role):
			t.Errorf("%s: %+v, %v", what, id, err)
		case principal != "" && !c.Accepts(id):
			t.Errorf("%s: %+v is not accepted any more", what, id)
		}
	}
	want("no session", call{peer: peer}, "uid:me", access.Run)
	found, owner = true, alice.identity()
	want("alice's session", call{peer: peer}, "alice", access.Run)
	want("alice's session, her token", call{peer: peer, token: "alice"}, "alice", access.Run)
	want("alice's session, bob's token", call{peer: peer, token: "bob"}, "", 0)
	want("alice's session, bob's token, TCP", call{token: "bob"}, "bob", access.Admin)
	proxy := peer
	proxy.Proxy = true
	want("alice's session, a proxy", call{peer: proxy, token: "bob"}, "bob", access.Admin)
	owner.Role = access.Observe
	want("alice's session as an observer", call{peer: peer}, "alice", access.Observe)
	owner = bob.identity()
	want("bob's session", call{peer: peer}, "bob", access.Run)
	want("bob's session, his token", call{peer: peer, token: "bob"}, "bob", access.Admin)

	owner.Role = access.Run
	if id, err := c.AuthenticateToken("bob", peer); err != nil || id.Role != access.Run {
		t.Errorf("a process of bob's session renews its connection with his token: %+v, %v", id, err)
	}
	if id, err := c.AuthenticateToken("alice", peer); err == nil {
		t.Errorf("a process of bob's session renews its connection with alice's token: %+v", id)
	}
	if id, err := c.AuthenticateToken("bob", access.Peer{}); err != nil || id.Role != access.Admin {
		t.Errorf("a connection over TCP is renewed with bob's token: %+v, %v", id, err)
	}

	owner = alice.identity()
	alice.Expires = time.Now().Add(-time.Second)
	tokens.Set([]Token{alice, bob})
	want("alice's session, expired", call{peer: peer}, "", 0)
	tokens.Set([]Token{bob})
	want("alice's session, revoked", call{peer: peer}, "", 0)
	found, failure = false, errors.New("the process has exited")
	want("unknown session", call{peer: peer}, "", 0)
	want("unknown session, token", call{peer: peer, token: "bob"}, "", 0)
}
