package jwt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/auth"
	"github.com/runnel-rpc/runnel/rpc/auth/authtest"
)

const (
	issuer    = "https://issuer.example"
	audience1 = "runnel"
)

// testKeys are made once: an RSA key takes a while.
var testKeys = sync.OnceValue(func() map[string]any {
	rsaKey, err1 := rsa.GenerateKey(rand.Reader, 2048)
	other, err2 := rsa.GenerateKey(rand.Reader, 2048)
	small, err3 := rsa.GenerateKey(rand.Reader, 1024)
	ec256, err4 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ec384, err5 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, ed, err6 := ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		panic(err)
	}
	return map[string]any{"rsa": rsaKey, "other": other, "small": small, "p256": ec256, "p384": ec384, "ed": ed}
})

// publicSet returns the text of a key set with these keys; kid is the name.
func publicSet(t testing.TB, names ...string) []byte {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, name := range names {
		private := jose.JSONWebKey{Key: testKeys()[name], KeyID: name}
		set.Keys = append(set.Keys, private.Public())
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func mappings(t testing.TB, text string) func() *auth.Principals {
	t.Helper()
	p, err := auth.ParsePrincipals("principals", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return func() *auth.Principals { return p }
}

const aliceIsAdmin = "[[jwt]]\nsubject = \"alice@*.example\"\nprincipal = \"alice\"\nrole = \"admin\"\n"

func newSource(t testing.TB, names ...string) *Source {
	t.Helper()
	s, err := New(Options{Issuer: issuer, Audience: audience1, Principals: mappings(t, aliceIsAdmin)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.SetKeys(publicSet(t, names...)); err != nil {
		t.Fatal(err)
	}
	return s
}

type object = map[string]any

func goodClaims() object {
	now := time.Now()
	return object{
		"iss": issuer, "aud": audience1, "sub": "alice@mail.example", "exp": now.Add(time.Hour).Unix(),
		"nbf": now.Add(-time.Minute).Unix(), "iat": now.Unix(),
	}
}

func with(claims object, more object) object {
	all := maps.Clone(claims)
	maps.Copy(all, more)
	return all
}

// sign returns a token.
func sign(t testing.TB, algorithm jose.SignatureAlgorithm, key any, kid string, claims any, header ...string) string {
	t.Helper()
	o := &jose.SignerOptions{}
	if kid != "" {
		o.WithHeader("kid", kid)
	}
	for i := 0; i < len(header); i += 2 {
		o.WithHeader(jose.HeaderKey(header[i]), header[i+1])
	}
	return authtest.JWT(t, jose.SigningKey{Algorithm: algorithm, Key: key}, o, claims)
}

func encoded(parts ...string) string {
	for i, p := range parts {
		parts[i] = base64.RawURLEncoding.EncodeToString([]byte(p))
	}
	return strings.Join(parts, ".")
}

// TestAlgorithms: all that are accepted, with a kid and without.
func TestAlgorithms(t *testing.T) {
	s := newSource(t, "rsa", "p256", "p384", "ed")
	for algorithm, name := range map[jose.SignatureAlgorithm]string{
		jose.RS256: "rsa", jose.RS384: "rsa", jose.RS512: "rsa", jose.ES256: "p256", jose.ES384: "p384", jose.EdDSA: "ed",
	} {
		for _, kid := range []string{name, ""} {
			id, err := s.Identify(auth.Credential{Token: sign(t, algorithm, testKeys()[name], kid, goodClaims())})
			if err != nil || id.Principal != "alice" || id.Role != access.Admin || time.Until(id.Expires) < 50*time.Minute {
				t.Errorf("%s, kid %q: %+v, %v", algorithm, kid, id, err)
			}
			if !s.Accepts(id) || !s.Expires(id).Equal(id.Expires) {
				t.Errorf("%s: not accepted later: %+v", algorithm, id)
			}
		}
	}
}

// TestClaims: each claim that is wrong or missing is refused, within the leeway of the clock.
func TestClaims(t *testing.T) {
	s := newSource(t, "p256")
	now := time.Now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for name, c := range map[string]struct {
		claims object
		err    error
	}{
		"issuer":            {object{"iss": "https://other.example"}, badIssuer},
		"issuer, prefix":    {object{"iss": issuer + "/"}, badIssuer},
		"no issuer":         {object{"iss": nil}, badIssuer},
		"audience":          {object{"aud": "other"}, badAudience},
		"no audience":       {object{"aud": nil}, badAudience},
		"audiences":         {object{"aud": []string{"a", "b"}}, badAudience},
		"among audiences":   {object{"aud": []string{"a", audience1}}, nil},
		"expired":           {object{"exp": at(-2 * Leeway)}, expired},
		"just expired":      {object{"exp": at(-Leeway / 2)}, nil},
		"no expiry":         {object{"exp": nil}, noExpiry},
		"expiry is text":    {object{"exp": "2100-01-01"}, malformed},
		"expiry is too far": {object{"exp": 1e300}, malformed},
		"expiry negative":   {object{"exp": -5}, malformed},
		"fraction":          {object{"exp": float64(at(time.Hour)) + 0.5}, nil},
		"not yet":           {object{"nbf": at(2 * Leeway)}, notYet},
		"nearly":            {object{"nbf": at(Leeway / 2)}, nil},
		"no nbf and iat":    {object{"nbf": nil, "iat": nil}, nil},
		"from the future":   {object{"iat": at(2 * Leeway)}, notYet},
		"no subject":        {object{"sub": ""}, noSubject},
		"long subject":      {object{"sub": strings.Repeat("a", maxSubjectBytes+1)}, noSubject},
		"another subject":   {object{"sub": "bob@mail.example"}, unmapped},
		"local principal":   {object{"sub": "alice"}, unmapped},
		"claims of a role":  {object{"sub": "user", "role": "admin", "principal": "alice"}, unmapped},
	} {
		_, err := s.Identify(auth.Credential{Token: sign(t, jose.ES256, testKeys()["p256"], "p256", with(goodClaims(), c.claims))})
		if err != c.err {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
}

// TestForgeries: no token is accepted that the issuer has not signed with one of its keys, used as
// the key set says.
func TestForgeries(t *testing.T) {
	s := newSource(t, "rsa", "p256", "ed")
	keys := testKeys()
	payload, _ := json.Marshal(goodClaims())
	good := sign(t, jose.RS256, keys["rsa"], "rsa", goodClaims())
	parts := strings.Split(good, ".")
	public, err := x509.MarshalPKIXPublicKey(keys["rsa"].(*rsa.PrivateKey).Public())
	if err != nil {
		t.Fatal(err)
	}
	own := jose.JSONWebKey{Key: keys["other"], KeyID: "rsa"}
	embedding, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: own}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := embedding.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	withOwnKey, _ := embedded.CompactSerialize()
	for name, c := range map[string]struct {
		token string
		err   error
	}{
		"none":                {encoded(`{"alg":"none"}`, string(payload)) + ".", malformed},
		"None, kid":           {encoded(`{"alg":"None","kid":"rsa"}`, string(payload)) + ".", malformed},
		"none, signature":     {encoded(`{"alg":"none"}`, string(payload)) + "." + parts[2], malformed},
		"no signature":        {parts[0] + "." + parts[1] + ".", wrongKey},
		"public key as HMAC":  {sign(t, jose.HS256, public, "rsa", goodClaims()), malformed},
		"HMAC":                {sign(t, jose.HS512, bytes.Repeat([]byte("x"), 64), "", goodClaims()), malformed},
		"PSS":                 {sign(t, jose.PS256, keys["rsa"], "rsa", goodClaims()), malformed},
		"wrong key":           {sign(t, jose.RS256, keys["other"], "rsa", goodClaims()), wrongKey},
		"wrong key, no kid":   {sign(t, jose.RS256, keys["other"], "", goodClaims()), wrongKey},
		"unknown kid":         {sign(t, jose.RS256, keys["rsa"], "nope", goodClaims()), unknownKey},
		"kid of another type": {sign(t, jose.ES256, keys["p256"], "rsa", goodClaims()), wrongKey},
		"kid of another key":  {sign(t, jose.ES256, keys["p256"], "ed", goodClaims()), wrongKey},
		"curve":               {sign(t, jose.ES384, keys["p384"], "p256", goodClaims()), wrongKey},
		"key in the header":   {withOwnKey, wrongKey},
		"extension":           {sign(t, jose.RS256, keys["rsa"], "rsa", goodClaims(), "crit", "exp"), malformed},
		"other payload":       {parts[0] + "." + encoded(`{"iss":"x"}`) + "." + parts[2], wrongKey},
		"not JSON":            {sign(t, jose.RS256, keys["rsa"], "rsa", "text"), malformed},
		"too long":            {sign(t, jose.RS256, keys["rsa"], "rsa", with(goodClaims(), object{"x": strings.Repeat("x", MaxTokenBytes)})), malformed},
		"JSON serialization":  {`{"payload":"","protected":"","signature":"a.b.c"}`, malformed},
		"white space":         {parts[0] + "." + parts[1] + ". " + parts[2], malformed},
		"opaque":              {"0123456789abcdef", auth.ErrUnknown},
		"encrypted":           {"a.b.c.d.e", auth.ErrUnknown},
		"nothing":             {"", auth.ErrUnknown},
	} {
		if id, err := s.Identify(auth.Credential{Token: c.token}); err != c.err {
			t.Errorf("%s: %+v, %v, want %v", name, id, err, c.err)
		}
	}
	if _, err := s.Identify(auth.Credential{Token: good}); err != nil {
		t.Error(err)
	}
}

// TestKeySets: which keys of a set are used.
func TestKeySets(t *testing.T) {
	for name, c := range map[string]struct {
		set  string
		keys int
	}{
		"small":          {string(publicSet(t, "small", "rsa")), 1},
		"symmetric":      {`{"keys":[{"kty":"oct","k":"AAAA"},` + string(publicSet(t, "ed"))[9:], 1},
		"unknown":        {`{"keys":[{"kty":"XYZ"},{},5,` + string(publicSet(t, "ed"))[9:], 1},
		"for encryption": {strings.Replace(string(publicSet(t, "ed")), `{"kty"`, `{"use":"enc","kty"`, 1), 0},
		"other use":      {strings.Replace(string(publicSet(t, "ed", "rsa")), `"kty":"RSA"`, `"kty":"RSA","alg":"RSA-OAEP"`, 1), 1},
		"empty":          {`{"keys":[]}`, 0},
		"no set":         {`[]`, 0},
		"private":        {privateSet(t), 0},
	} {
		set, err := parseKeySet([]byte(c.set))
		if (err == nil) != (c.keys > 0) || err == nil && len(set.keys) != c.keys {
			t.Errorf("%s: %+v, %v", name, set, err)
		}
	}
	many := strings.TrimSuffix(strings.Repeat(string(publicSet(t, "ed"))[9:len(publicSet(t, "ed"))-2]+",", maxKeys+1), ",")
	if _, err := parseKeySet([]byte(`{"keys":[` + many + `]}`)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("too many keys: %v", err)
	}
	if _, err := parseKeySet(bytes.Repeat([]byte(" "), MaxKeySetBytes+1)); err == nil {
		t.Error("a large set is accepted")
	}
	s := newSource(t, "rsa")
	if err := s.SetKeys([]byte("{")); err == nil {
		t.Error("an invalid set is accepted")
	}
	if _, err := s.Identify(auth.Credential{Token: sign(t, jose.RS256, testKeys()["rsa"], "rsa", goodClaims())}); err != nil {
		t.Errorf("after an invalid set: %v", err)
	}
}

func privateSet(t *testing.T) string {
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: testKeys()["p256"], KeyID: "p256"}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRevocation: an identity is accepted until its key or its mapping is gone, or its role is reduced.
func TestRevocation(t *testing.T) {
	s := newSource(t, "rsa", "p256")
	id, err := s.Identify(auth.Credential{Token: sign(t, jose.ES256, testKeys()["p256"], "p256", goodClaims())})
	if err != nil {
		t.Fatal(err)
	}
	present := s.o.Principals
	for name, text := range map[string]string{
		"mapping": "", "role": strings.Replace(aliceIsAdmin, "admin", "run", 1), "principal": strings.Replace(aliceIsAdmin, `"alice"`, `"bob"`, 1),
	} {
		if s.o.Principals = mappings(t, text); s.Accepts(id) {
			t.Errorf("%s: still accepted", name)
		}
	}
	s.o.Principals = present
	if err := s.SetKeys(publicSet(t, "rsa")); err != nil || s.Accepts(id) {
		t.Error("accepted without its key", err)
	}
	for _, credential := range []string{"", "jwt:", "jwt:x:y:z:alice@mail.example", "token:a:b:c:d"} {
		if s.Accepts(access.Identity{Principal: "alice", Credential: credential}) {
			t.Errorf("%q is accepted", credential)
		}
	}
}

// FuzzIdentify: no text but what was signed is accepted, and none panics.
func FuzzIdentify(f *testing.F) {
	s := newSource(f, "rsa", "p256", "ed")
	good := sign(f, jose.ES256, testKeys()["p256"], "p256", goodClaims())
	parts := strings.Split(good, ".")
	for _, seed := range []string{
		good, parts[0] + "." + parts[1] + ".", encoded(`{"alg":"none"}`, `{"sub":"alice@mail.example"}`) + ".", "a.b.c", "..",
		encoded(`{"alg":"ES256","kid":"p256","crit":["b64"],"b64":false}`) + "." + parts[1] + "." + parts[2],
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		id, err := s.Identify(auth.Credential{Token: token})
		if err == nil && !strings.HasPrefix(token, parts[0]+"."+parts[1]+".") {
			t.Errorf("%q is accepted: %+v", token, id)
		}
	})
}

// FuzzKeySet: no key set panics, and all keys of one are usable.
func FuzzKeySet(f *testing.F) {
	f.Add(publicSet(f, "rsa", "p256", "ed"))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := parseKeySet(text)
		if err != nil {
			return
		}
		for _, k := range set.keys {
			if len(k.algorithms) == 0 || k.thumbprint == "" {
				t.Errorf("%+v", k)
			}
		}
	})
}
