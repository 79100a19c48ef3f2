//go:build linux

package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"testing"

	"github.com/runnel-rpc/runnel/rpc/auth/authtest"
	"github.com/runnel-rpc/runnel/rpc/server"
)

// authority is a certification authority of a test.
type authority struct {
	pair tls.Certificate
	pool *x509.CertPool
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	a.pair = authtest.Sign(t, x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	a.pool.AddCert(a.pair.Leaf)
	return a
}

// sign returns a new certificate with its key: see authtest.Sign.
func (a *authority) sign(t testing.TB, template x509.Certificate) tls.Certificate {
	t.Helper()
	return authtest.Sign(t, template, &a.pair)
}

// withTLS gives a server a certificate, and returns the configuration of its clients.
func withTLS(t testing.TB, o *server.Options, clients *x509.CertPool) *tls.Config {
	t.Helper()
	a := newAuthority(t, "test")
	config := &tls.Config{
		Certificates: []tls.Certificate{a.sign(t, x509.Certificate{
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})},
		MinVersion:                  tls.VersionTLS13,
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true,
	}
	if clients != nil {
		config.ClientCAs, config.ClientAuth = clients, tls.VerifyClientCertIfGiven
	}
	o.TLS = func() *tls.Config { return config }
	return &tls.Config{RootCAs: a.pool, ServerName: "127.0.0.1"}
}
