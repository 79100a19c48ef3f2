package mcp

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// wellKnown is where the metadata of a resource is, followed by the path of the resource (RFC 9728 §3.1).
const wellKnown = "/.well-known/oauth-protected-resource"

// MetadataPattern is the pattern of the route of a Metadata.
const MetadataPattern = "GET " + wellKnown + Path

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

// Challenge returns the value of WWW-Authenticate for a request of the Handler without a valid credential
// (RFC 9728 §5.1), and "" for other requests.
func (m *Metadata) Challenge(r *http.Request) string {
	if r.URL.Path != Path {
		return ""
	}
	at := *m.resource(r)
	at.Path, at.RawPath = wellKnown+at.Path, ""
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
