package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"sync/atomic"
	"time"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// Token is one token that is accepted. It is known by its hash only.
type Token struct {
	Name    string // the principal
	SHA256  [sha256.Size]byte
	Role    access.Role
	Expires time.Time // the zero time is never
}

// Tokens is the source of bearer tokens. Its methods may be called concurrently.
type Tokens struct {
	all atomic.Pointer[[]Token]
}

// NewTokens returns a source that accepts these tokens.
func NewTokens(all ...Token) *Tokens {
	t := &Tokens{}
	t.Set(all)
	return t
}

// UserToken is the token of access.User, with the role Run.
func UserToken(secret string) Token {
	return Token{Name: access.User, SHA256: sha256.Sum256([]byte(secret))}
}

// Set replaces the tokens that are accepted.
func (t *Tokens) Set(all []Token) { t.all.Store(&all) }

// expired is the reason of a token that has expired.
const expired Reason = "the token has expired"

// Identify implements [Source]. Its time depends neither on the token nor on which one it is.
func (t *Tokens) Identify(c Credential) (access.Identity, error) {
	if c.Token == "" {
		return access.Identity{}, ErrUnknown
	}
	all := *t.all.Load()
	sum := sha256.Sum256([]byte(c.Token))
	found := -1
	for i := range all {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(all[i].SHA256[:], sum[:]), i, found)
	}
	switch {
	case found < 0:
		return access.Identity{}, ErrUnknown
	case all[found].expired():
		return access.Identity{}, expired
	}
	return all[found].identity(), nil
}

// Accepts implements [Source].
func (t *Tokens) Accepts(id access.Identity) bool {
	return slices.ContainsFunc(*t.all.Load(), func(token Token) bool {
		return token.Name == id.Principal && token.Role == id.Role && token.credential() == id.Credential
	})
}

func (t *Token) expired() bool { return !t.Expires.IsZero() && !time.Now().Before(t.Expires) }

func (t *Token) identity() access.Identity {
	return access.Identity{Principal: t.Name, Role: t.Role, Credential: t.credential(), Expires: t.Expires}
}

// credentialBytes is how much of the hash names a token.
const credentialBytes = 8

func (t *Token) credential() string {
	return "token:" + t.Name + ":" + hex.EncodeToString(t.SHA256[:credentialBytes])
}
