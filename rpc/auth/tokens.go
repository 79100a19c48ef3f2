package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"sync"
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

	// id names the credential of a token that may be guessed: its hash would allow to try guesses.
	id string
}

// Tokens is the source of bearer tokens. Its methods may be called concurrently.
type Tokens struct {
	set atomic.Pointer[tokenSet]
}

// tokenSet does not change.
type tokenSet struct {
	all []Token
	// revoked are hashes of tokens that were in an earlier set, used or not, oldest first.
	revoked [][sha256.Size]byte
}

// maxRevoked is how many revoked tokens are known, so that the log can tell them from wrong ones. A
// token is revoked if it was in an earlier set, and is not in the newest one. After the server was
// started again, they are not known any more.
const maxRevoked = 1024

// NewTokens returns a source that accepts these tokens.
func NewTokens(all ...Token) *Tokens {
	t := &Tokens{}
	t.set.Store(&tokenSet{all: all})
	return t
}

// UserToken is the token of access.User, with the role Run. A user may have chosen it.
func UserToken(secret string) Token {
	mac := hmac.New(sha256.New, processKey())
	mac.Write([]byte(secret))
	return Token{
		Name: access.User, SHA256: sha256.Sum256([]byte(secret)),
		id: "token-file:" + hex.EncodeToString(mac.Sum(nil)[:credentialBytes]),
	}
}

// processKey is a secret of this process.
var processKey = sync.OnceValue(func() []byte {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	return key
})

// Set replaces the tokens that are accepted. It must not be called concurrently.
func (t *Tokens) Set(all []Token) {
	old := t.set.Load()
	accepted := make(map[[sha256.Size]byte]bool, len(all))
	for i := range all {
		accepted[all[i].SHA256] = true
	}
	var revoked [][sha256.Size]byte
	for _, sum := range slices.Concat(old.revoked, sums(old.all)) {
		if !accepted[sum] {
			revoked = append(revoked, sum)
		}
	}
	t.set.Store(&tokenSet{all, revoked[max(0, len(revoked)-maxRevoked):]})
}

func sums(all []Token) [][sha256.Size]byte {
	hashes := make([][sha256.Size]byte, len(all))
	for i := range all {
		hashes[i] = all[i].SHA256
	}
	return hashes
}

// The reasons for which a token that is or was in the file is refused.
const (
	expired Reason = "the token has expired"
	revoked Reason = "the token was revoked"
)

// Identify implements [Source]. Its time depends neither on the token nor on which one it is.
func (t *Tokens) Identify(c Credential) (access.Identity, error) {
	if c.Token == "" {
		return access.Identity{}, ErrUnknown
	}
	set := t.set.Load()
	all := set.all
	sum := sha256.Sum256([]byte(c.Token))
	found, was := -1, 0
	for i := range all {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(all[i].SHA256[:], sum[:]), i, found)
	}
	for i := range set.revoked {
		was |= subtle.ConstantTimeCompare(set.revoked[i][:], sum[:])
	}
	switch {
	case found < 0 && was == 1:
		return access.Identity{}, revoked
	case found < 0:
		return access.Identity{}, ErrUnknown
	case all[found].expired():
		return access.Identity{}, expired
	}
	return all[found].identity(), nil
}

// Accepts implements [Source].
func (t *Tokens) Accepts(id access.Identity) bool {
	return slices.ContainsFunc(t.set.Load().all, func(token Token) bool {
		return token.Name == id.Principal && id.Role.AtMost(token.Role) == id.Role && token.credential() == id.Credential
	})
}

// Expires returns when the token of an identity expires, the zero time if it never does.
func (t *Tokens) Expires(id access.Identity) (at time.Time) {
	for _, token := range t.set.Load().all {
		if token.Name == id.Principal && token.credential() == id.Credential {
			at = token.Expires
		}
	}
	return at
}

func (t *Token) expired() bool { return !t.Expires.IsZero() && !time.Now().Before(t.Expires) }

func (t *Token) identity() access.Identity {
	return access.Identity{Principal: t.Name, Role: t.Role, Credential: t.credential(), Expires: t.Expires}
}

// credentialBytes is how much of the hash names a token.
const credentialBytes = 8

func (t *Token) credential() string {
	if t.id != "" {
		return t.id
	}
	return "token:" + t.Name + ":" + hex.EncodeToString(t.SHA256[:credentialBytes])
}
