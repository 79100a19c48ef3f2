package jwt

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"github.com/runnel-rpc/runnel/rpc/auth"
)

const (
	// MaxTokenBytes is the longest token that is looked at.
	MaxTokenBytes = 8 << 10
	// Leeway is how much the clocks of the issuer and of this machine may differ.
	Leeway = 30 * time.Second
	// maxSubjectBytes is the longest subject.
	maxSubjectBytes = auth.MaxPatternBytes
	// maxKeysTried is how many keys are tried for a token without a kid.
	maxKeysTried = 4
)

// algorithms are those that are accepted.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// The reasons for which a token is refused.
const (
	malformed   auth.Reason = "the JWT is malformed, or its algorithm is not accepted"
	unknownKey  auth.Reason = "the key of the JWT is unknown"
	wrongKey    auth.Reason = "the signature of the JWT is wrong"
	badIssuer   auth.Reason = "the issuer of the JWT is not accepted"
	badAudience auth.Reason = "the JWT is for another audience"
	notYet      auth.Reason = "the JWT is not valid yet"
	expired     auth.Reason = "the JWT has expired"
	noExpiry    auth.Reason = "the JWT does not expire"
	noSubject   auth.Reason = "the JWT has no subject, or a very long one"
	unmapped    auth.Reason = "the subject of the JWT is not mapped to a principal"
)

// parseToken parses a token without verifying it. Keys in its header are not used (RFC 8725 §3.5), and
// extensions are not accepted.
func parseToken(text string) (*jose.JSONWebSignature, jose.Header, error) {
	if len(text) > MaxTokenBytes || strings.Count(text, ".") != 2 {
		return nil, jose.Header{}, malformed
	}
	token, err := jose.ParseSignedCompact(text, algorithms)
	if err != nil || len(token.Signatures) != 1 {
		return nil, jose.Header{}, malformed
	}
	header := token.Signatures[0].Protected
	if _, extended := header.ExtraHeaders["crit"]; extended {
		return nil, jose.Header{}, malformed
	}
	return token, header, nil
}

// claims are those that are used (RFC 7519 §4.1).
type claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	Expiry    *seconds `json:"exp"`
	NotBefore *seconds `json:"nbf"`
	IssuedAt  *seconds `json:"iat"`
}

// audience is one string or an array of them.
type audience []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audience) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// seconds is a time (NumericDate).
type seconds struct{ time.Time }

// maxSeconds is the end of the year 9999, the last one of RFC 3339.
const maxSeconds = 253402300799

// UnmarshalJSON implements json.Unmarshaler. Fractions of a second are ignored.
func (s *seconds) UnmarshalJSON(text []byte) error {
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(f >= 0 && f <= maxSeconds) {
		return malformed
	}
	s.Time = time.Unix(int64(f), 0)
	return nil
}

// check returns why the claims are not accepted at a time.
func (c *claims) check(issuer, audience string, now time.Time) error {
	switch {
	case c.Issuer != issuer:
		return badIssuer
	case !slices.Contains(c.Audience, audience):
		return badAudience
	case c.Expiry == nil:
		return noExpiry
	case !now.Before(c.Expiry.Add(Leeway)):
		return expired
	case c.NotBefore != nil && now.Add(Leeway).Before(c.NotBefore.Time),
		c.IssuedAt != nil && now.Add(Leeway).Before(c.IssuedAt.Time):
		return notYet
	case c.Subject == "" || len(c.Subject) > maxSubjectBytes:
		return noSubject
	}
	return nil
}

// verify returns the claims of a token that one of the keys has signed, and that key.
func verify(token *jose.JSONWebSignature, keys []key) (*claims, key, error) {
	for _, k := range keys[:min(len(keys), maxKeysTried)] {
		payload, err := token.Verify(k.public)
		if err != nil {
			continue
		}
		c := &claims{}
		if err := json.Unmarshal(payload, c); err != nil {
			return nil, key{}, malformed
		}
		return c, k, nil
	}
	return nil, key{}, wrongKey
}

// kind is that of the credentials.
const kind = "jwt"

func newCredential(text string, c *claims, k key) auth.MappedCredential {
	sum := sha256.Sum256([]byte(text))
	return auth.MappedCredential{
		Kind: kind, Expires: c.Expiry.Time, Signer: k.thumbprint, Fingerprint: hex.EncodeToString(sum[:8]), Name: c.Subject,
	}
}
