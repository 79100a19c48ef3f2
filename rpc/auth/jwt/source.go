package jwt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/auth"
)

// Options configure a Source.
type Options struct {
	// Keys is the https:// URL of a JSON Web Key Set, http:// on loopback, or "" for keys that SetKeys
	// sets.
	Keys string
	// Issuer and Audience are what the claims iss and aud of a token must have.
	Issuer, Audience string
	// Principals returns the present mappings of subjects.
	Principals func() *auth.Principals
	// Changed, if not nil, is called in a goroutine of the source when keys were removed: tokens that
	// were signed with them are not accepted any more.
	Changed func()
	Log     zerolog.Logger
}

// Source is the auth.Source of JSON Web Tokens. Its methods may be called concurrently.
type Source struct {
	o    Options
	keys atomic.Pointer[keySet]

	client *http.Client // nil without a URL
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	fetched time.Time     // when the last fetch began
	fetch   chan struct{} // closed when the running fetch is done; nil if none is running
}

// New returns a source. With a URL, a goroutine fetches the keys at once, and then regularly; Close
// ends it. Until there are keys, tokens are refused.
func New(o Options) (*Source, error) {
	s := &Source{o: o}
	s.keys.Store(&keySet{})
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if o.Keys == "" {
		return s, nil
	}
	if err := checkURL(o.Keys); err != nil {
		return nil, err
	}
	s.client = newClient()
	s.wg.Go(s.refresh)
	return s, nil
}

// checkURL returns an error unless the keys at the URL cannot be replaced on their way.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "":
		return errors.New("not a URL")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return errors.New("the URL must begin with https://: keys that cross a network in plaintext can be replaced")
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// Close ends the goroutines of the source and waits for them.
func (s *Source) Close() {
	s.cancel()
	s.wg.Wait()
}

// SetKeys replaces the keys by those of a JSON Web Key Set. If there is an error, the old ones stay.
func (s *Source) SetKeys(text []byte) error {
	set, err := parseKeySet(text)
	if err != nil {
		return err
	}
	s.keys.Store(set)
	return nil
}

// Identify implements [auth.Source]. If the key of a token is unknown, it waits for at most
// fetchTimeout while the keys are fetched, which is at most once in fetchInterval.
func (s *Source) Identify(c auth.Credential) (access.Identity, error) {
	if strings.Count(c.Token, ".") != 2 { // it is no JWT (RFC 7519 §3)
		return access.Identity{}, auth.ErrUnknown
	}
	token, header, err := parseToken(c.Token)
	if err != nil {
		return access.Identity{}, err
	}
	algorithm := jose.SignatureAlgorithm(header.Algorithm)
	keys, known := s.keys.Load().find(header.KeyID, algorithm)
	if !known {
		s.awaitFetch()
		keys, known = s.keys.Load().find(header.KeyID, algorithm)
	}
	if !known {
		return access.Identity{}, unknownKey
	}
	claims, key, err := verify(token, keys)
	if err == nil {
		err = claims.check(s.o.Issuer, s.o.Audience, time.Now())
	}
	if err != nil {
		return access.Identity{}, err
	}
	principal, role, ok := s.o.Principals().JWT(claims.Subject)
	if !ok {
		return access.Identity{}, unmapped
	}
	return access.Identity{
		Principal: principal, Role: role, Expires: claims.Expiry.Time, Credential: newCredential(c.Token, claims, key).String(),
	}, nil
}

// Accepts implements [auth.Source]: the key and the mapping of the subject must still be there.
func (s *Source) Accepts(id access.Identity) bool {
	c, ok := auth.ParseMapped(kind, id.Credential)
	if !ok || !s.keys.Load().has(c.Signer) {
		return false
	}
	principal, role, ok := s.o.Principals().JWT(c.Name)
	return ok && principal == id.Principal && id.Role.AtMost(role) == id.Role
}

// Expires returns when the token of an identity expires.
func (s *Source) Expires(id access.Identity) time.Time {
	c, _ := auth.ParseMapped(kind, id.Credential)
	return c.Expires
}

// errTooLarge is the error of a response that is larger than a key set may be.
var errTooLarge = fmt.Errorf("the response is larger than %d bytes", MaxKeySetBytes)
