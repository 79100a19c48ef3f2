//go:build linux

package main

import (
	"crypto/tls"
	"testing"
)

// credentials are those for a server with TLS that accepts tokens, JWTs and client certificates. The
// directory has the authority of the server, ca.pem, and the certificates member and stranger, of
// which the server accepts the first.
type credentials struct {
	dir               *testDir
	server            *tls.Certificate
	tokens            *tokensFile
	revoked           string
	url               string            // set by serve
	accepted, refused map[string]string // tokens and JWTs by what they are
}

// prepareCredentials makes the files of the server.
func (p *testDir) prepareCredentials(t *testing.T) *credentials {
	t.Helper()
	p.newAuthority(t, "clients").sign("member", forClients("a.agents.example"))
	p.newAuthority(t, "others").sign("stranger", forClients("a.agents.example"))
	c := &credentials{dir: p, server: p.newAuthority(t, "ca").sign("server", forServers)}
	right, revoked, expired := principal{"alice", "right"}, principal{"alice", "revoked"}, principal{"alice", "expired"}
	c.revoked = revoked.token
	c.tokens = &tokensFile{path: p.path("tokens.toml"), tokens: map[string]string{
		right.token:   entryOf(right, "run"),
		revoked.token: entryOf(revoked, "run"),
		expired.token: entryOf(expired, "run") + "expires = 2020-01-01T00:00:00Z\n",
	}}
	if err := c.tokens.change(func(map[string]string) {}); err != nil {
		t.Fatal(err)
	}
	key, other := p.writeIssuer(t, aliceIsMapped+agentIsMapped)
	jwt, bad := signedJWTs(t, key, other)
	c.accepted = map[string]string{"a token": right.token, "a JWT": jwt}
	c.refused = map[string]string{
		"an expired token": expired.token, "a revoked token": revoked.token, "a wrong token": "wrong", "a part of the token": right.token[:4],
	}
	for name, token := range bad {
		c.refused["a JWT: "+name] = token
	}
	return c
}

// serve starts the server, and revokes a token after the server has accepted it.
func (c *credentials) serve(t *testing.T, args ...string) {
	t.Helper()
	args = append(args, jwtFlagsOfTests...)
	x, ready := c.dir.serve(t, append(args, "--tokens=tokens.toml", "--shared-user", "--socket=",
		"--tls-cert=server.pem", "--tls-key=server.key", "--tls-client-ca=clients.pem")...)
	c.url = ready.URL
	if out := c.upgradeByOpenSSL(t, c.revoked, "accepted"); !wasAccepted(out) {
		t.Fatalf("a token before it is revoked: %s", out)
	}
	if err := c.tokens.change(func(tokens map[string]string) { delete(tokens, c.revoked) }); err != nil {
		t.Fatal(err)
	}
	x.awaitStderr("configuration reloaded")
}
