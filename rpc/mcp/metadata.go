package mcp

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// wellKnown is where the metadata of a resource is, followed by the path of the resource (RFC 9728 §3.1).
const wellKnown = "/.well-known/oauth-protected-resource"

// ErrURL is wrapped by the errors of ParseURL.
var ErrURL = errors.New("must be like https://HOST/mcp, without a query, a fragment, a user, or a slash at the end")

// ParseURL returns the URL of a Handler for hosts, which must be a resource identifier (RFC 9728 §1.2).
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "",
		u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"),
		u.Path != "" && path.Clean(u.Path) != u.Path || u.Path == "/" || strings.ContainsAny(u.Path, "{}"): // a pattern has braces
		return nil, fmt.Errorf("%q %w", text, ErrURL)
	}
	return u, nil
}

// Metadata tells hosts which authorization server issues the tokens that the Handler accepts (RFC 9728). It
// is public. Its methods may be called concurrently.
type Metadata struct {
	// Issuer is the authorization server.
	Issuer string
	// URL is that of the Handler for hosts. If it is nil, it is made of the Host of a request.
	URL *url.URL
	// TLS says that the scheme of such a URL is https.
	TLS bool
}

// ServeHTTP implements http.Handler.
func (m *Metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store") // it may depend on the Host
	auth.ProtectedResourceMetadataHandler(&oauthex.ProtectedResourceMetadata{
		Resource:               m.resource(r).String(),
		AuthorizationServers:   []string{m.Issuer},
		BearerMethodsSupported: []string{"header"},
		ResourceName:           "Runnel",
	}).ServeHTTP(w, r)
}

// Patterns returns the patterns of the routes of the metadata: for Path, and for the path of URL, if a proxy
// that hosts connect to has another one.
func (m *Metadata) Patterns() []string {
	patterns := []string{"GET " + wellKnown + Path}
	if m.URL != nil && m.URL.Path != Path {
		patterns = append(patterns, "GET "+wellKnown+m.URL.EscapedPath())
	}
	return patterns
}

// Challenge returns the value of WWW-Authenticate for a request of the Handler without a valid credential
// (RFC 9728 §5.1), and "" for other requests.
func (m *Metadata) Challenge(r *http.Request) string {
	if r.URL.Path != Path {
		return ""
	}
	at := *m.resource(r)
	if at.RawPath != "" {
		at.RawPath = wellKnown + at.RawPath
	}
	at.Path = wellKnown + at.Path
	return fmt.Sprintf("Bearer resource_metadata=%q", at.String())
}

// resource returns the URL of the Handler.
func (m *Metadata) resource(r *http.Request) *url.URL {
	scheme := "http"
	if m.TLS {
		scheme = "https"
	}
	return cmp.Or(m.URL, &url.URL{Scheme: scheme, Host: r.Host, Path: Path})
}
