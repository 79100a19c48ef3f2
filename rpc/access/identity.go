package access

import (
	"fmt"
	"time"
)

// User is the principal of the server's own user: of a caller over the Unix socket, and of the
// single token.
const User = "user"

// Identity is who a caller is, as one credential shows it.
type Identity struct {
	// Principal owns sessions. It is a name that ValidPrincipal accepts.
	Principal string
	Role      Role
	// Credential names the credential, for revocation, the log and the audit log: its kind, a
	// colon, and what distinguishes it, which is no secret. Two identities with the same Credential
	// were shown by the same credential.
	Credential string
	// Expires is when the credential expires; the zero time is never.
	Expires time.Time
}

// MaxPrincipalBytes is the longest name of a principal.
const MaxPrincipalBytes = 128

// ValidPrincipal returns an error unless name can be the name of a principal: 1 to
// MaxPrincipalBytes letters and digits of ASCII and, except at its beginning, the characters
// ". _ @ : + -". It has no slash: a session of another principal is named PRINCIPAL/ID.
func ValidPrincipal(name string) error {
	if name == "" || len(name) > MaxPrincipalBytes {
		return fmt.Errorf("the name of a principal must have 1 to %d bytes, not %d", MaxPrincipalBytes, len(name))
	}
	for i, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '@' || c == ':' || c == '+' || c == '-'):
		default:
			return fmt.Errorf("%q cannot be the name of a principal: it must have letters and digits of ASCII and, "+
				"after the first character, . _ @ : + -", name)
		}
	}
	return nil
}
