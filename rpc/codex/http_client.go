package codex

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/runnel-rpc/runnel/process/egress"
	"github.com/runnel-rpc/runnel/rpc/server"
)

const (
	// httpConnectTime is how long a connection, and then its TLS handshake, may take.
	httpConnectTime = 30 * time.Second
	// maxHTTPRedirects is how many redirects of a request are followed, as in Codex's own server.
	maxHTTPRedirects = 10
)

// client returns the client of the request. It follows redirects as the params say.
func (x *httpExchange) client() *http.Client {
	return &http.Client{
		Transport: x,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if x.params.RedirectPolicy == redirectStop {
				return http.ErrUseLastResponse
			}
			return redirect(r, via)
		},
	}
}

// RoundTrip implements http.RoundTripper. It makes one request, also that of a redirect, and writes it to the audit
// log.
func (x *httpExchange) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := x.roundTrip(r)
	e := exchange(r)
	if err == nil {
		e.Status = response.StatusCode
	}
	x.c.caller.AuditHTTP(e, err)
	return response, err
}

// roundTrip makes a request if the caller may make it now: a redirect may come an hour after its request.
func (x *httpExchange) roundTrip(r *http.Request) (*http.Response, error) {
	if x.c.closing() {
		return nil, errHTTPEnded
	}
	access, err := x.c.caller.NetworkAccess()
	if err != nil {
		return nil, err
	}
	return x.transport(access).RoundTrip(r)
}

// transport returns what makes one request. No connection is shared with other requests, and no proxy is used,
// whatever the environment of the server is.
func (x *httpExchange) transport(access *server.NetworkAccess) *http.Transport {
	// A call of libc cannot be canceled, and would outlive the request.
	dial := (&net.Dialer{Timeout: httpConnectTime, Resolver: &net.Resolver{PreferGo: true}}).DialContext
	if access.Restricted {
		dial = egress.NewDialer(access.Allow).DialContext
	}
	return &http.Transport{
		DialContext:            x.connections.dialing(dial),
		TLSHandshakeTimeout:    httpConnectTime,
		DisableKeepAlives:      true,
		DisableCompression:     true, // the client gets the body as it was sent
		MaxResponseHeaderBytes: maxHTTPHeaderBytes,
	}
}

// redirect decides about a redirect. Credentials are not sent to another scheme, host or port, and not any
// more after that.
func redirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxHTTPRedirects {
		return &wireError{Code: codeInternal, Message: "http/request failed: more than " + strconv.Itoa(maxHTTPRedirects) + " redirects"}
	}
	first := origin(via[0].URL)
	for _, earlier := range append(via[1:len(via):len(via)], r) {
		if origin(earlier.URL) != first {
			for _, name := range credentialHeaders {
				r.Header.Del(name)
			}
			r.Header.Del("Referer") // its query may have a secret
			break
		}
	}
	if err := checkHTTPURL(r.URL.String()); err != nil {
		return &wireError{Code: codeInternal, Message: "http/request failed: a redirect: " + err.Error()}
	}
	return nil
}

// credentialHeaders are not sent to another origin.
var credentialHeaders = []string{"Authorization", "Cookie", "Cookie2", "Www-Authenticate"}

// origin returns the scheme, the host and the port of a URL.
func origin(u *url.URL) string {
	host, port := endpoint(u)
	return u.Scheme + "://" + net.JoinHostPort(host, strconv.Itoa(port))
}

// endpoint returns the host and the port of a URL that was checked: a name in lower case, or an address in its one
// spelling.
func endpoint(u *url.URL) (host string, port int) {
	host = strings.ToLower(u.Hostname())
	if addr, err := netip.ParseAddr(host); err == nil {
		host = addr.Unmap().String()
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
		return host, int(n)
	}
	if u.Scheme == "https" {
		return host, 443
	}
	return host, 80
}

// exchange returns what the audit log has of a request.
func exchange(r *http.Request) server.Exchange {
	x := server.Exchange{Method: r.Method}
	x.Host, x.Port = endpoint(r.URL)
	return x
}
