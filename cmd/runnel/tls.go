package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/runnel-rpc/runnel/rpc/auth"
)

// tlsFlags are the flags of TLS on the TCP listeners of a server.
type tlsFlags struct {
	TLSCert       string `name:"tls-cert" help:"File with the server's certificate and its intermediates (PEM). With it the TCP listeners have TLS." env:"RUNNEL_SERVER_TLS_CERT" placeholder:"FILE"`
	TLSKey        string `name:"tls-key" help:"File with the key of --tls-cert (PEM). Other users must not be able to read it." env:"RUNNEL_SERVER_TLS_KEY" placeholder:"FILE"`
	TLSClientCA   string `name:"tls-client-ca" help:"File with the authorities of client certificates (PEM). A client may present one; who it is, --principals says." env:"RUNNEL_TLS_CLIENT_CA" placeholder:"FILE"`
	TLSMinVersion string `name:"tls-min-version" help:"Oldest version of TLS: 1.3, or 1.2 for old clients." enum:"1.2,1.3" default:"1.3" env:"RUNNEL_TLS_MIN_VERSION"`
}

// openTLS reads the files, and registers them for reloading. It returns nil without TLS. clients, which
// may be nil, get the authorities of client certificates.
func (f *tlsFlags) openTLS(clients *auth.Certificates, r *reloader) (*certificates, error) {
	switch {
	case f.TLSCert == "" && (f.TLSKey != "" || f.TLSClientCA != ""):
		return nil, &statusError{exitUsage, errors.New("--tls-key and --tls-client-ca require --tls-cert")}
	case f.TLSCert != "" && f.TLSKey == "":
		return nil, &statusError{exitUsage, errors.New("--tls-cert requires --tls-key")}
	case f.TLSCert == "":
		return nil, nil
	}
	c := &certificates{flags: *f, clients: clients}
	files := []string{f.TLSCert, f.TLSKey}
	if f.TLSClientCA != "" {
		files = append(files, f.TLSClientCA)
	}
	return c, r.begin("certificates", c.reload, files...)
}

// certificates has the TLS configuration of a server.
type certificates struct {
	flags   tlsFlags
	clients *auth.Certificates // nil if certificates of clients are no credentials
	config  atomic.Pointer[tls.Config]
}

// reload reads the files again, for connections from now on. If there is an error, the old
// configuration stays.
func (c *certificates) reload() error {
	pair, err := readKeyPair(c.flags.TLSCert, c.flags.TLSKey)
	if err != nil {
		return err
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS13,
		NextProtos:   []string{"http/1.1"},
		// A resumed session would present the certificate of its client once more, also if its
		// authority is not accepted any more.
		SessionTicketsDisabled: true,
		// Output is large; the first records need not be small.
		DynamicRecordSizingDisabled: true,
	}
	if c.flags.TLSMinVersion == "1.2" {
		config.MinVersion = tls.VersionTLS12
	}
	if c.flags.TLSClientCA != "" {
		text, _, err := readOperatorFile("--tls-client-ca", c.flags.TLSClientCA, maxTLSFile)
		if err != nil {
			return err
		}
		authorities, err := parseAuthorities("--tls-client-ca", c.flags.TLSClientCA, text)
		if err != nil {
			return err
		}
		config.ClientCAs = poolOf(authorities)
		config.ClientAuth = tls.VerifyClientCertIfGiven
		config.VerifyConnection = verifyClient
		if c.clients != nil {
			c.clients.SetAuthorities(authorities)
		}
	}
	c.config.Store(config)
	return nil
}

// configuration returns the function that returns the configuration of the next connection, or nil
// without TLS.
func (c *certificates) configuration() func() *tls.Config {
	if c == nil {
		return nil
	}
	return c.config.Load
}

// verifyClient refuses a client certificate that does not name client authentication among its
// purposes (RFC 5280 §4.2.1.12). crypto/x509 accepts one without any purpose, such as that of a
// server.
func verifyClient(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return nil
	}
	for _, usage := range s.PeerCertificates[0].ExtKeyUsage {
		if usage == x509.ExtKeyUsageClientAuth {
			return nil
		}
	}
	return &tls.CertificateVerificationError{
		UnverifiedCertificates: s.PeerCertificates,
		Err:                    errors.New("its extended key usage is not client authentication"),
	}
}

// maxTLSFile is how many bytes a file with certificates or a key may have.
const maxTLSFile = 1 << 20

// readKeyPair reads a certificate and its key.
func readKeyPair(certFile, keyFile string) (pair tls.Certificate, err error) {
	cert, err := readTLSFile("--tls-cert", certFile, 0o777)
	if err != nil {
		return pair, err
	}
	key, err := readTLSFile("--tls-key", keyFile, 0o770)
	if err != nil {
		return pair, err
	}
	pair, err = tls.X509KeyPair(cert, key)
	if err != nil { // the error of the library names neither file, and contains nothing of the key
		return pair, fmt.Errorf("--tls-cert %s and --tls-key %s: %w", certFile, keyFile, err)
	}
	return pair, nil
}

// readAuthorities reads the certificates of authorities.
func readAuthorities(flag, file string) ([]*x509.Certificate, error) {
	text, err := readTLSFile(flag, file, 0o777)
	if err != nil {
		return nil, err
	}
	return parseAuthorities(flag, file, text)
}

func parseAuthorities(flag, file string, text []byte) (all []*x509.Certificate, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", flag, file, err)
		}
		all = append(all, cert)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s %s: no certificate (PEM)", flag, file)
	}
	return all, nil
}

func poolOf(authorities []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, cert := range authorities {
		pool.AddCert(cert)
	}
	return pool
}

// readTLSFile reads a file, which must not have permissions other than those in most.
func readTLSFile(flag, path string, most os.FileMode) ([]byte, error) {
	text, _, err := readRegular(path, maxTLSFile, func(info os.FileInfo) error {
		if mode := info.Mode().Perm(); mode&^most != 0 {
			return fmt.Errorf("mode is %04o: other users must not have access", mode)
		}
		return nil
	})
	switch {
	case err == nil:
		return text, nil
	case namesFile(err):
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return nil, fmt.Errorf("%s %s: %w", flag, path, err)
}
