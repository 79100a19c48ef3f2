package codex

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
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

// httpClient returns the client of one request. It has connections of its own, so none is shared between
// callers, and uses no proxy, whatever the environment of the server is.
func (c *conn) httpClient(access *server.NetworkAccess, redirects string) *http.Client {
	dial := (&net.Dialer{Timeout: httpConnectTime}).DialContext
	if access.Restricted {
		dial = egress.NewDialer(access.Allow).DialContext
	}
	return &http.Client{
		Transport: &auditedTransport{c.caller, &http.Transport{
			DialContext:            dial,
			TLSHandshakeTimeout:    httpConnectTime,
			DisableKeepAlives:      true,
			DisableCompression:     true, // the client gets the body as it was sent
			MaxResponseHeaderBytes: maxHTTPHeaderBytes,
		}},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if redirects == redirectStop {
				return http.ErrUseLastResponse
			}
			return redirect(r, via)
		},
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

// endpoint returns the host and the port of a URL.
func endpoint(u *url.URL) (host string, port int) {
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
		return u.Hostname(), int(n)
	}
	if u.Scheme == "https" {
		return u.Hostname(), 443
	}
	return u.Hostname(), 80
}

// exchange returns what the audit log has of a request.
func exchange(r *http.Request) server.Exchange {
	x := server.Exchange{Method: r.Method}
	x.Host, x.Port = endpoint(r.URL)
	return x
}

// auditedTransport writes each request to the audit log, redirects included.
type auditedTransport struct {
	caller *server.Caller
	next   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *auditedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	x := exchange(r)
	if err == nil {
		x.Status = response.StatusCode
	}
	t.caller.AuditHTTP(x, err)
	return response, err
}

// httpError converts the error of a request. That of net/http quotes the URL, which may have a password, and that
// of net an address of the server, which a sandbox need not show.
func httpError(err error) error {
	if e, ok := errors.AsType[*wireError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if egress.Refused(err) {
		return invalidRequest("http/request is not permitted: %v", err)
	}
	text := err.Error()
	if e, ok := errors.AsType[*net.OpError](err); ok {
		text = e.Op + ": " + e.Err.Error()
	}
	return &wireError{Code: codeInternal, Message: "http/request failed: " + text}
}
