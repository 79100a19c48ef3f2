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
	key, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	other, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	p.writeKeys(t, key)
	p.replace(t, "principals.toml", []byte(aliceIsMapped))
	server, ready := p.serve(t, "--jwt-jwks=jwks.json", "--jwt-issuer=https://issuer.example", "--jwt-audience=runnel", "--principals=principals.toml")
	claims := func(change ...any) map[string]any {
		all := map[string]any{"iss": "https://issuer.example", "aud": "runnel", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}
		for i := 0; i < len(change); i += 2 {
			all[change[i].(string)] = change[i+1]
		}
		return all
	}
	good := signJWT(t, key, claims())
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + strings.Split(good, ".")[1] + "."
	for name, token := range map[string]string{
		"alg:none": none, "wrong key": signJWT(t, other, claims()), "audience": signJWT(t, key, claims("aud", "other")),
		"issuer": signJWT(t, key, claims("iss", "x")), "expired": signJWT(t, key, claims("exp", time.Now().Add(-time.Hour).Unix())),
		"not yet": signJWT(t, key, claims("nbf", time.Now().Add(time.Hour).Unix())), "unmapped": signJWT(t, key, claims("sub", "user")), "none": "",
	} {
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
	p.replace(t, "token", []byte(signJWT(t, other, claims())+"\n"))
	if status, out := p.output(t, "runnel", "ps", "--url="+ready.URL, "--token-file=token"); status != 0 || !strings.Contains(out, "sleep 1000") {
		t.Errorf("the next key: %d, %s", status, out)
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
