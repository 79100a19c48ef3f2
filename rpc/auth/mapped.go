package auth

import (
	"strconv"
	"strings"
	"time"
)

// MappedCredential is what the name of a credential ([access.Identity]) says about a certificate or a
// JWT, whose names are mapped to principals: enough to find out later whether it is still accepted.
type MappedCredential struct {
	Kind        string // certificate or jwt
	Expires     time.Time
	Signer      string // the hash of the authority, or the thumbprint of the key; it has no colon
	Fingerprint string // the beginning of the hash of the credential itself
	Name        string // that is mapped
}

// String returns the name of the credential.
func (c MappedCredential) String() string {
	return strings.Join([]string{c.Kind, strconv.FormatInt(c.Expires.Unix(), 10), c.Signer, c.Fingerprint, c.Name}, ":")
}

// ParseMapped returns what the name of a credential of that kind says. ok is false for any other
// credential.
func ParseMapped(kind, credential string) (c MappedCredential, ok bool) {
	parts := strings.SplitN(credential, ":", 5)
	if len(parts) != 5 || parts[0] != kind {
		return c, false
	}
	seconds, err := strconv.ParseInt(parts[1], 10, 64)
	return MappedCredential{kind, time.Unix(seconds, 0), parts[2], parts[3], parts[4]}, err == nil
}
