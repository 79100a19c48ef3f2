package main

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"os"
	"testing"

	"github.com/runnel-rpc/runnel/rpc/auth/authtest"
)

// authority is a certification authority of a test.
type authority struct {
	t    *testing.T
	dir  *testDir
	pair *tls.Certificate // nil until it has signed itself
}

// newAuthority makes an authority, with its certificate in the file NAME.pem.
func (p *testDir) newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: p}
	a.pair = a.sign(name, x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// sign makes a certificate in NAME.pem and its key in NAME.key: see authtest.Sign.
func (a *authority) sign(name string, template x509.Certificate) *tls.Certificate {
	a.t.Helper()
	template.Subject = pkix.Name{CommonName: name}
	pair := authtest.Sign(a.t, template, a.pair)
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	a.dir.replace(a.t, name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))
	a.dir.replace(a.t, name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	return &pair
}

// replace replaces a file by a rename.
func (p *testDir) replace(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := writeAtomically(p.path(name), text); err != nil {
		t.Fatal(err)
	}
}

// The templates of certificates of a server and of a client.
var forServers = x509.Certificate{
	DNSNames: []string{"runnel.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
}

func forClients(names ...string) x509.Certificate {
	return x509.Certificate{DNSNames: names, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
