package auth

import (
	"crypto/tls"
	"net/http"
	"strings"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// Credential is what a caller presents. If it presents a token, the other fields are not set.
type Credential struct {
	Token string               // a bearer token, or ""
	TLS   *tls.ConnectionState // with the certificate of the caller; nil without TLS
	Peer  access.Peer          // the zero value if the peer must not count as a credential
}

// subprotocolPrefix begins the subprotocol in which a browser, which cannot set a header, presents
// its token.
const subprotocolPrefix = "bearer."

// presentedToken returns the token that a request presents, which may be empty. It is that of the
// Authorization header (RFC 6750 §2.1, or the password of RFC 7617), or else that of the
// subprotocols. It does not look into the URL, which proxies log. A Basic credential in a request
// with an Origin does not count: browsers send a stored one with the requests of every page.
func presentedToken(r *http.Request) (token string, ok bool) {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token), true
	}
	if _, password, ok := r.BasicAuth(); ok && len(r.Header.Values("Origin")) == 0 {
		return password, true
	}
	for _, h := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(h, ",") {
			if token, ok := strings.CutPrefix(strings.TrimSpace(p), subprotocolPrefix); ok {
				return token, true
			}
		}
	}
	return "", false
}
