package auth

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/auth/authtest"
)

// newRoot returns an authority.
func newRoot(t *testing.T) tls.Certificate {
	t.Helper()
	return authtest.Sign(t, x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true}, nil)
}

const certificateMappings = `
[[certificate]]
name = "*.agents.example"
principal = "agent"

[[certificate]]
name = "spiffe://example/ops/**"
principal = "ops"
role = "admin"
`

// TestCertificates: a verified certificate is the principal to which one of its names is mapped, as
// long as its authority and the mapping are there.
func TestCertificates(t *testing.T) {
	authority, other := newRoot(t), newRoot(t).Leaf
	root := authority.Leaf
	principals := parsed(t, certificateMappings)
	c := NewCertificates(func() *Principals { return principals })
	c.SetAuthorities([]*x509.Certificate{other, root})
	credential := func(template x509.Certificate) Credential {
		leaf := authtest.Sign(t, template, &authority).Leaf
		return Credential{TLS: &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf, root}}}}
	}
	agent := x509.Certificate{DNSNames: []string{"host.example", "A.agents.example"}}
	id, err := c.Identify(credential(agent))
	if err != nil || id.Principal != "agent" || id.Role != access.Run || time.Until(id.Expires) < 50*time.Minute || !c.Accepts(id) {
		t.Fatalf("%+v, %v", id, err)
	}
	if at := c.Expires(id); !at.Equal(id.Expires) {
		t.Errorf("expires at %v, want %v", at, id.Expires)
	}
	uri, _ := url.Parse("spiffe://example/ops/bob:1")
	if id, err := c.Identify(credential(x509.Certificate{URIs: []*url.URL{uri}})); err != nil || id.Principal != "ops" || id.Role != access.Admin || !c.Accepts(id) {
		t.Errorf("%+v, %v", id, err)
	}
	expired := agent
	expired.NotAfter = time.Now().Add(-time.Second)
	for name, x := range map[string]struct {
		Credential
		err error
	}{
		"no TLS":         {Credential{}, ErrUnknown},
		"no certificate": {Credential{TLS: &tls.ConnectionState{}}, ErrUnknown},
		"not verified":   {Credential{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{root}}}, ErrUnknown},
		"unmapped":       {credential(x509.Certificate{DNSNames: []string{"other.example"}}), certificateUnmapped},
		"common name":    {credential(x509.Certificate{Subject: pkix.Name{CommonName: "a.agents.example"}}), certificateUnmapped},
		"no names":       {credential(x509.Certificate{}), certificateUnmapped},
		"expired":        {credential(expired), certificateExpired},
	} {
		if id, err := c.Identify(x.Credential); err != x.err {
			t.Errorf("%s: %+v, %v, want %v", name, id, err, x.err)
		}
	}
	again := credential(agent)
	c.SetAuthorities([]*x509.Certificate{other}) // of the same name, with another key
	if _, err := c.Identify(again); err != certificateRoot || c.Accepts(id) {
		t.Errorf("accepted without its authority: %v", err)
	}
	c.SetAuthorities([]*x509.Certificate{root})
	if !c.Accepts(id) {
		t.Error("not accepted with its authority")
	}
	for _, text := range []string{"", "[[certificate]]\nname = \"*.agents.example\"\nprincipal = \"agent\"\nrole = \"observe\"\n"} {
		principals = parsed(t, text)
		if c.Accepts(id) {
			t.Errorf("accepted with the mappings %q", text)
		}
	}
}

func parsed(t *testing.T, text string) *Principals {
	t.Helper()
	p, err := ParsePrincipals("principals", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestCertificateNames: a name of one kind cannot pass as one of another kind.
func TestCertificateNames(t *testing.T) {
	relative, _ := url.Parse("a.agents.example")
	absolute, _ := url.Parse("https://x.example/y")
	got := certificateNames(&x509.Certificate{
		DNSNames:       []string{"A.Example", "*.agents.example", "bob@x.example", "spiffe://x", "", "a b"},
		EmailAddresses: []string{"bob@x.example", "x.example", "spiffe://x/@y"},
		URIs:           []*url.URL{relative, absolute},
	})
	if want := []string{"a.example", "bob@x.example", "https://x.example/y"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if n := len(certificateNames(&x509.Certificate{DNSNames: slices.Repeat([]string{"a"}, 1000)})); n != maxCertificateNames {
		t.Errorf("%d names", n)
	}
}
