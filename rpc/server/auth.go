package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// Auth is the [Authenticator] of a server with one user. Over TCP the caller presents a token. Over
// a Unix socket the caller is a process of the server's user, and needs none.
type Auth struct {
	// Token is what a caller over TCP presents. With "" any caller is accepted that reaches the
	// port.
	Token string
	// AllowHosts and AllowOrigins are accepted besides loopback hosts and requests without an
	// Origin. A host is compared without its port, an origin as a whole (scheme://host[:port]).
	AllowHosts   []string
	AllowOrigins []string
}

// The subprotocols: that of Runnel, and the prefix of the one in which a browser, which cannot set
// a header, presents its token.
const (
	subprotocol = "runnel.v1"
	bearer      = "bearer."
)

// Authenticate implements [Authenticator]. A foreign Host or Origin is refused first: a page that
// rebinds its name to loopback has one (DNS rebinding), and must not learn whether a token is
// right.
func (a Auth) Authenticate(r *http.Request) (access.Identity, error) {
	peer := access.PeerOf(r.Context())
	switch {
	case peer.Unix && !(peer.Known && peer.UID == os.Geteuid()):
		return access.Identity{}, &access.Refusal{Status: http.StatusForbidden, Reason: "another user's process"}
	case !peer.Unix && !a.hostAllowed(r.Host):
		return access.Identity{}, &access.Refusal{Status: http.StatusForbidden, Reason: "Host not allowed"}
	case !a.originsAllowed(r, !peer.Unix && a.Token != ""):
		return access.Identity{}, &access.Refusal{Status: http.StatusForbidden, Reason: "Origin not allowed"}
	case !peer.Unix && !a.tokenPresented(r):
		return access.Identity{}, errToken
	}
	return access.Identity{Principal: access.User, Credential: "user:"}, nil
}

var errToken = &access.Refusal{Status: http.StatusUnauthorized, Reason: "a bearer token is needed"}

// AuthenticateToken implements [Authenticator].
func (a Auth) AuthenticateToken(token string) (access.Identity, error) {
	if a.Token == "" || !a.equal(token) {
		return access.Identity{}, errToken
	}
	return access.Identity{Principal: access.User, Credential: "user:"}, nil
}

// Accepts implements [Authenticator].
func (a Auth) Accepts(access.Identity) bool { return true }

func (a Auth) hostAllowed(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.Trim(name, "[]")
	if isLoopback(name) {
		return true
	}
	return slices.ContainsFunc(a.AllowHosts, func(h string) bool {
		return strings.EqualFold(h, name) || strings.EqualFold(h, host)
	})
}

func isLoopback(name string) bool {
	if strings.EqualFold(name, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}

// originsAllowed checks every Origin of the request. If a credential is required, the origin of the
// Host itself is allowed too, which was checked before: a page of that origin has no credential of
// its own.
func (a Auth) originsAllowed(r *http.Request, credential bool) bool {
	for _, o := range r.Header.Values("Origin") {
		u, err := url.Parse(o)
		if err != nil || !a.originAllowed(u) && !(credential && sameOrigin(u, r.Host)) {
			return false
		}
	}
	return true
}

func (a Auth) originAllowed(u *url.URL) bool {
	return slices.ContainsFunc(a.AllowOrigins, func(allowed string) bool {
		return strings.EqualFold(strings.TrimSuffix(allowed, "/"), u.Scheme+"://"+u.Host)
	})
}

// sameOrigin reports whether an Origin has the host and the port of the request's Host. The default
// port is that of the scheme. The schemes are not compared: the server does not know its own behind
// a proxy that terminates TLS.
func sameOrigin(u *url.URL, host string) bool {
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if port == "" || u.Host == "" {
		return false
	}
	full := func(host string) string {
		if _, _, err := net.SplitHostPort(host); err == nil {
			return host
		}
		return net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	return strings.EqualFold(full(u.Host), full(host))
}

// tokenPresented checks for the token in the Authorization header (RFC 6750 §2.1, or as the
// password of RFC 7617) and in the subprotocols, but not in the URL, which is logged by proxies. A
// Basic credential in a request with an Origin does not count: browsers send a stored one with the
// requests of every page.
func (a Auth) tokenPresented(r *http.Request) bool {
	if a.Token == "" {
		return true
	}
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return a.equal(strings.TrimSpace(token))
	}
	if _, password, ok := r.BasicAuth(); ok && len(r.Header.Values("Origin")) == 0 {
		return a.equal(password)
	}
	for _, p := range subprotocols(r) {
		if token, ok := strings.CutPrefix(p, bearer); ok {
			return a.equal(token)
		}
	}
	return false
}

// equal compares in a time that depends neither on the token nor on its length.
func (a Auth) equal(token string) bool {
	x, y := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(a.Token))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

func subprotocols(r *http.Request) []string {
	var all []string
	for _, h := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(h, ",") {
			all = append(all, strings.TrimSpace(p))
		}
	}
	return all
}
