package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/runnel-rpc/runnel/rpc/auth/authtest"
)

const aliceIsMapped = "[[jwt]]\nsubject = \"alice\"\nprincipal = \"alice@example\"\n"

// TestJWT: a token of the issuer is the principal that its subject is mapped to. One with alg:none,
// of another key, for another audience, or expired is refused before the upgrade. Without its key or
// its mapping it is revoked.
func TestJWT(t *testing.T) {
	p := newTestDir(t)
	key, other := p.writeIssuer(t, aliceIsMapped)
	server, ready := p.serve(t, jwtFlagsOfTests...)
	good, bad := signedJWTs(t, key, other)
	bad["none"] = ""
	for name, token := range bad {
		if u := upgrade(t, ready.URL, token); u.status != 401 {
			t.Errorf("%s: %d", name, u.status)
		}
	}
	server.awaitStderr(`"detail":"the JWT has expired"`)
	p.replace(t, "token", []byte(good+"\n"))
	x := p.runnel(t, "run", "--url="+ready.URL, "--token-file=token", "--", "sh", "-c", "echo ready; exec sleep 1000")
	x.expectLine("ready")
	p.writeKeys(t, other)
	x.expectExit(exitRunnelFailed)
	if got := x.stderrText(); !strings.Contains(got, "does not accept the credential any more: the credential was revoked") {
		t.Error(got)
	}
	next, _ := signedJWTs(t, other, key)
	p.replace(t, "token", []byte(next+"\n"))
	if status, out := p.output(t, "runnel", "ps", "--url="+ready.URL, "--token-file=token"); status != 0 || !strings.Contains(out, "sleep 1000") {
		t.Errorf("the next key: %d, %s", status, out)
	}
}

var jwtFlagsOfTests = []string{"--jwt-jwks=jwks.json", "--jwt-issuer=https://issuer.example", "--jwt-audience=runnel", "--principals=principals.toml"}

// writeIssuer writes the files for jwtFlagsOfTests: the key of the issuer, and the mappings of its
// subjects. other is the key of somebody else.
func (p *testDir) writeIssuer(t *testing.T, mappings string) (key, other *ecdsa.PrivateKey) {
	t.Helper()
	key, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	other, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	p.writeKeys(t, key)
	p.replace(t, "principals.toml", []byte(mappings))
	return key, other
}

// signedJWTs returns a JWT for the server with these flags, and some that it has to refuse, if key is
// the issuer's.
func signedJWTs(t *testing.T, key, other *ecdsa.PrivateKey) (good string, bad map[string]string) {
	t.Helper()
	sign := func(key *ecdsa.PrivateKey, change string, to any) string {
		claims := map[string]any{"iss": "https://issuer.example", "aud": "runnel", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}
		claims[change] = to
		return signJWT(t, key, claims)
	}
	good = sign(key, "sub", "alice")
	payload := strings.Split(good, ".")[1]
	return good, map[string]string{
		"alg:none":  base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + payload + ".",
		"wrong key": sign(other, "sub", "alice"),
		"audience":  sign(key, "aud", "other"),
		"issuer":    sign(key, "iss", "x"),
		"expired":   sign(key, "exp", time.Now().Add(-time.Hour).Unix()),
		"not yet":   sign(key, "nbf", time.Now().Add(time.Hour).Unix()),
		"unmapped":  sign(key, "sub", "user"),
	}
}

// writeKeys writes the JSON Web Key Set of the issuer.
func (p *testDir) writeKeys(t *testing.T, key *ecdsa.PrivateKey) {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	p.replace(t, "jwks.json", text)
}

func signJWT(t *testing.T, key *ecdsa.PrivateKey, claims any) string {
	t.Helper()
	return authtest.JWT(t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil, claims)
}
