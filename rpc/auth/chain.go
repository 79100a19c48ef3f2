package auth

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// Chain authenticates callers. Its fields must not change after the first call; sources change
// their content themselves. The zero value refuses everybody.
type Chain struct {
	// Hosts and Origins are accepted besides loopback hosts and requests without an Origin. A host
	// is compared without its port, an origin as a whole (scheme://host[:port]). The host of an
	// origin may be *, which is every host, unless the scheme is one of the web, or begin with *., which is one or more labels. An entry
	// that [CheckOrigin] refuses matches nothing.
	Hosts, Origins []string
	// Open accepts every caller over TCP as access.User, and ignores tokens. It is for loopback
	// addresses.
	Open bool
	// Sources are asked in this order. The first one that knows the credential decides.
	Sources []Source
	// Session finds the session to which the process at the other end of a Unix socket belongs. Such
	// a caller has the principal and the credential of that session, and at most its role: else a
	// command could use the socket to escape its limits. The error means that it cannot be known;
	// then the caller is refused. Session may be nil.
	Session func(syscall.Conn) (owner access.Identity, found bool, err error)
}

// Source identifies the bearers of one kind of credential. Its methods may be called concurrently,
// and must not wait for a network or for another process if they know the credential: a source that
// needs something from there gets it ahead of time. For one that it does not know it may wait a few
// seconds.
type Source interface {
	// Identify returns who the bearer of a credential is. The error is ErrUnknown if the credential
	// is not one of this source, and otherwise a [Reason]. All errors are the same for the caller.
	Identify(Credential) (access.Identity, error)
	// Accepts reports whether the credential of an identity is one of this source, apart from its
	// expiry, and still has that principal and at least that role. It is false if the credential has
	// been revoked.
	Accepts(access.Identity) bool
}

// ErrUnknown is the error of a source that does not know a credential.
var ErrUnknown = errors.New("unknown credential")

// Reason is why a source refuses a credential that it knows. It is logged, and never sent to the
// caller. There are only a few different ones.
type Reason string

func (r Reason) Error() string { return string(r) }

// Loopback returns the chain of a server with one user and no credentials: it accepts every caller
// over TCP, and processes of the server's user over a Unix socket.
func Loopback() *Chain {
	return &Chain{Open: true, Sources: []Source{OwnUser()}}
}

// anyone is who a caller of an open chain is.
var anyone = access.Identity{Principal: access.User, Credential: "none:"}

// Authenticate returns who the caller of a request is. A token that is presented decides: whatever
// else the caller has does not count then. The error is an *access.Refusal. A foreign
// Host or Origin is refused before a credential is looked at: a page that rebinds its name to
// loopback has one (DNS rebinding), and must not learn whether a credential is right.
func (c *Chain) Authenticate(r *http.Request) (access.Identity, error) {
	peer := access.PeerOf(r.Context())
	token, presented := presentedToken(r)
	origin := c.classify(r)
	switch {
	case !c.hostAllowed(r.Host):
		return access.Identity{}, errHost
	case origin == foreignOrigin, origin == sameOrigin && c.Open:
		return access.Identity{}, errOrigin
	case c.Open && !peer.Unix:
		return anyone, nil
	}
	credential := Credential{TLS: r.TLS, Peer: peer}
	if presented && !c.Open || origin == sameOrigin {
		credential = Credential{Token: token} // decides, whatever else the caller has
	}
	id, err := c.identify(credential)
	switch {
	case err == nil:
		return c.limit(id, peer)
	case credential.Peer.Unix && !peer.Proxy:
		return access.Identity{}, refusedPeer(peer)
	}
	return access.Identity{}, unauthorized(reasonOf(err, token))
}

// The reasons of a credential that no source knows.
const (
	noCredential Reason = "no credential was presented"
	unknownToken Reason = "the token is unknown"
)

// reasonOf returns err, or why no source knows the caller, who has presented this token or "".
func reasonOf(err error, token string) error {
	switch {
	case !errors.Is(err, ErrUnknown):
		return err
	case token == "":
		return noCredential
	}
	return unknownToken
}

// limit returns who a caller is whose process may belong to a session. A process that presents a
// credential of another principal than that of its session is refused.
func (c *Chain) limit(id access.Identity, peer access.Peer) (access.Identity, error) {
	if c.Session == nil || !isUser(peer) {
		return id, nil
	}
	owner, found, err := c.Session(peer.Conn)
	switch {
	case err != nil:
		return access.Identity{}, errNoSession
	case !found:
		return id, nil
	case !strings.HasPrefix(id.Credential, UIDPrefix) && id.Principal != owner.Principal:
		return access.Identity{}, errOtherSession
	}
	owner.Role = id.Role.AtMost(owner.Role)
	owner.Expires = c.expiry(owner)
	if !c.Accepts(owner) || !owner.Expires.IsZero() && !time.Now().Before(owner.Expires) {
		return access.Identity{}, errEndedSession
	}
	return owner, nil
}

// expiry returns when a credential that was presented before expires.
func (c *Chain) expiry(id access.Identity) time.Time {
	for _, s := range c.Sources {
		if e, ok := s.(interface {
			Expires(access.Identity) time.Time
		}); ok && s.Accepts(id) {
			return e.Expires(id)
		}
	}
	return time.Time{}
}

var (
	errNoSession = &access.Refusal{
		Status: http.StatusForbidden, Reason: "the process has exited, or its session cannot be determined",
	}
	errEndedSession = &access.Refusal{
		Status: http.StatusForbidden, Reason: "the credential with which the session of the process was started is not valid any more",
	}
	errOtherSession = &access.Refusal{
		Status: http.StatusForbidden, Reason: "the process belongs to a session of another principal",
	}
	errHost   = &access.Refusal{Status: http.StatusForbidden, Reason: "Host not allowed"}
	errOrigin = &access.Refusal{Status: http.StatusForbidden, Reason: "Origin not allowed"}
	// errMissing is for wrong credentials too.
	errMissing = &access.Refusal{Status: http.StatusUnauthorized, Reason: "a bearer token is needed"}
)

// refusedPeer is the error of a process that presents nothing and is not accepted by its user.
func refusedPeer(p access.Peer) error {
	reason := "another user's process"
	if p.Known && p.UID == os.Geteuid() {
		reason = "a token is needed: processes of this user are not accepted without one"
	}
	return &access.Refusal{Status: http.StatusForbidden, Reason: reason}
}

// unauthorized is the error of a credential that no source accepts, and of a missing one. What the
// caller sees of it is always the same.
func unauthorized(why error) error {
	r := *errMissing
	if reason, ok := errors.AsType[Reason](why); ok {
		r.Detail = string(reason)
	}
	return &r
}

// identify asks the sources.
func (c *Chain) identify(credential Credential) (access.Identity, error) {
	why := ErrUnknown
	for _, s := range c.Sources {
		id, err := s.Identify(credential)
		if err == nil {
			return id, nil
		}
		if errors.Is(why, ErrUnknown) {
			why = err
		}
	}
	return access.Identity{}, why
}

// AuthenticateToken returns who the peer is if it presents a token. The error is an *access.Refusal.
func (c *Chain) AuthenticateToken(token string, peer access.Peer) (access.Identity, error) {
	id, err := c.identify(Credential{Token: token})
	if err != nil {
		return access.Identity{}, unauthorized(reasonOf(err, token))
	}
	return c.limit(id, peer)
}

// Accepts reports whether the credential of an identity is still accepted, apart from its expiry.
func (c *Chain) Accepts(id access.Identity) bool {
	if c.Open && id.Principal == anyone.Principal && id.Credential == anyone.Credential {
		return true
	}
	for _, s := range c.Sources {
		if s.Accepts(id) {
			return true
		}
	}
	return false
}
