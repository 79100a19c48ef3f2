package auth

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

func (c *Chain) hostAllowed(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.Trim(name, "[]")
	if isLoopback(name) {
		return true
	}
	return slices.ContainsFunc(c.Hosts, func(h string) bool {
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

// originClass is what the Origin headers of a request are.
type originClass int

const (
	allowedOrigin originClass = iota // none, or all are in Origins
	// sameOrigin is the origin of the Host itself, which was checked before. A page of that origin
	// has no token, but a browser may have a certificate: only a token counts.
	sameOrigin
	foreignOrigin
)

// classify checks every Origin of the request.
func (c *Chain) classify(r *http.Request) originClass {
	class := allowedOrigin
	for _, o := range r.Header.Values("Origin") {
		u, err := url.Parse(o)
		switch {
		case err != nil:
			return foreignOrigin
		case c.originAllowed(u):
		case isSameOrigin(u, r.Host):
			class = sameOrigin
		default:
			return foreignOrigin
		}
	}
	return class
}

// isSameOrigin reports whether an Origin has the host and the port of the request's Host. The
// default port is that of the scheme. The schemes are not compared: the server does not know its
// own behind a proxy that terminates TLS.
func isSameOrigin(u *url.URL, host string) bool {
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
