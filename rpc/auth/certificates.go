package auth

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// certificateKind is the kind of their credentials.
const certificateKind = "certificate"

// maxCertificateNames is how many names of a certificate are compared with the mappings.
const maxCertificateNames = 64

// Certificates is the source of client certificates, which the TLS handshake has verified. Their
// names are principals as the principals file says. Its methods may be called concurrently.
type Certificates struct {
	principals func() *Principals
	// roots are the hashes of the authorities that are accepted.
	roots atomic.Pointer[[]string]
}

// NewCertificates returns a source that accepts no certificate until SetAuthorities is called.
// principals returns the present mappings.
func NewCertificates(principals func() *Principals) *Certificates {
	c := &Certificates{principals: principals}
	c.SetAuthorities(nil)
	return c
}

// SetAuthorities replaces the authorities whose certificates are accepted: those of the TLS
// configuration. A certificate of one that is not accepted any more has been revoked.
func (c *Certificates) SetAuthorities(all []*x509.Certificate) {
	roots := make([]string, len(all))
	for i, root := range all {
		roots[i] = fingerprint(root)
	}
	c.roots.Store(&roots)
}

// The reasons for which a certificate is refused.
const (
	certificateUnmapped Reason = "no name of the certificate is mapped to a principal"
	certificateExpired  Reason = "the certificate has expired"
	certificateRoot     Reason = "the authority of the certificate is not accepted any more"
)

// Identify implements [Source].
func (c *Certificates) Identify(credential Credential) (access.Identity, error) {
	if credential.TLS == nil || len(credential.TLS.VerifiedChains) == 0 {
		return access.Identity{}, ErrUnknown
	}
	root, ok := c.acceptedRoot(credential.TLS.VerifiedChains)
	if !ok {
		return access.Identity{}, certificateRoot
	}
	leaf := credential.TLS.VerifiedChains[0][0]
	if !time.Now().Before(leaf.NotAfter) { // the handshake may have been a while ago
		return access.Identity{}, certificateExpired
	}
	for _, name := range certificateNames(leaf) {
		if principal, role, ok := c.principals().Certificate(name); ok {
			id := MappedCredential{certificateKind, leaf.NotAfter, root, fingerprint(leaf), name}
			return access.Identity{Principal: principal, Role: role, Credential: id.String(), Expires: leaf.NotAfter}, nil
		}
	}
	return access.Identity{}, certificateUnmapped
}

func (c *Certificates) acceptedRoot(chains [][]*x509.Certificate) (string, bool) {
	for _, chain := range chains {
		root := fingerprint(chain[len(chain)-1])
		if slices.Contains(*c.roots.Load(), root) {
			return root, true
		}
	}
	return "", false
}

// Accepts implements [Source].
func (c *Certificates) Accepts(id access.Identity) bool {
	cert, ok := ParseMapped(certificateKind, id.Credential)
	if !ok || !slices.Contains(*c.roots.Load(), cert.Signer) {
		return false
	}
	principal, role, ok := c.principals().Certificate(cert.Name)
	return ok && principal == id.Principal && id.Role.AtMost(role) == id.Role
}

// Expires returns when the certificate of an identity expires.
func (c *Certificates) Expires(id access.Identity) time.Time {
	cert, _ := ParseMapped(certificateKind, id.Credential)
	return cert.Expires
}

// certificateNames returns the names of a certificate that may be mapped: the DNS names, e-mail
// addresses and URIs of its subject alternative name (RFC 5280 §4.2.1.6), in this order, at most
// maxCertificateNames. A name of one kind that could be one of another kind, and a wildcard, are left
// out. DNS names are in lower case.
func certificateNames(cert *x509.Certificate) (all []string) {
	for _, name := range cert.DNSNames {
		if isHostName(name) {
			all = append(all, strings.ToLower(name))
		}
	}
	for _, address := range cert.EmailAddresses {
		if strings.Count(address, "@") == 1 && !strings.ContainsAny(address, ":/") {
			all = append(all, address)
		}
	}
	for _, uri := range cert.URIs {
		if uri.Scheme != "" {
			all = append(all, uri.String())
		}
	}
	return all[:min(len(all), maxCertificateNames)]
}

func isHostName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.')
	})
}

// fingerprint returns the beginning of the hash of a certificate.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:16])
}
