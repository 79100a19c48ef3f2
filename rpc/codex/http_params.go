package codex

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// The bounds of the params of a http/request. Its body is bounded by the longest message.
const (
	// maxHTTPURLBytes is the longest URL.
	maxHTTPURLBytes = 16 << 10
	// maxHTTPHostBytes is the longest name of a host in it: that of DNS (RFC 1035, section 2.3.4).
	maxHTTPHostBytes = sandbox.MaxHost
	// maxHTTPMethodBytes is the longest name of a method.
	maxHTTPMethodBytes = 32
	// maxHTTPHeaders is how many headers a request has, and maxHTTPHeaderBytes what they take with their
	// names. A response may have as many headers and bytes.
	maxHTTPHeaders     = 256
	maxHTTPHeaderBytes = 64 << 10
	// maxHTTPRequestIDBytes is the longest id of a request, which the client chooses.
	maxHTTPRequestIDBytes = 256
	// maxHTTPTime is the longest time that a request takes, with its redirects and the whole body of the
	// response. A client can choose a shorter one.
	maxHTTPTime = time.Hour
)

type httpParams struct {
	Method         string       `json:"method"`
	URL            string       `json:"url"`
	Headers        []httpHeader `json:"headers"`
	Body           []byte       `json:"bodyBase64"` // encoding/json reads base64
	TimeoutMs      *int64       `json:"timeoutMs"`
	RedirectPolicy string       `json:"redirectPolicy"` // redirectFollow, which is the default, or redirectStop
	RequestID      string       `json:"requestId"`
	StreamResponse bool         `json:"streamResponse"`
}

type httpHeader struct {
	Name        string  `json:"name"`
	Value       string  `json:"value"`
	ValueEnvVar *string `json:"valueEnvVar,omitempty"`
}

// The values of httpParams.RedirectPolicy.
const (
	redirectFollow = "follow"
	redirectStop   = "stop"
)

// request returns the request of params, for a context.
func (q *httpParams) request(ctx context.Context) (*http.Request, error) {
	switch {
	case q.RequestID == "" || len(q.RequestID) > maxHTTPRequestIDBytes:
		return nil, invalidParams("requestId must have 1 to %d bytes", maxHTTPRequestIDBytes)
	case len(q.Method) > maxHTTPMethodBytes || !isToken(q.Method):
		return nil, invalidParams("method must be a method of HTTP with at most %d bytes", maxHTTPMethodBytes)
	case q.Method == http.MethodConnect:
		return nil, invalidParams("method must not be CONNECT")
	case q.TimeoutMs != nil && *q.TimeoutMs < 0:
		return nil, invalidParams("timeoutMs must not be negative")
	case q.RedirectPolicy != "" && q.RedirectPolicy != redirectFollow && q.RedirectPolicy != redirectStop:
		return nil, invalidParams("redirectPolicy must be follow or stop")
	}
	if err := checkHTTPURL(q.URL); err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, q.Method, q.URL, bytes.NewReader(q.Body))
	if err != nil {
		return nil, invalidParams("url is not valid")
	}
	if err := q.setHeaders(r); err != nil {
		return nil, err
	}
	return r, nil
}

// checkHTTPURL returns the error of a URL. It does not quote the URL, which may have a password.
func checkHTTPURL(text string) error {
	if len(text) > maxHTTPURLBytes {
		return invalidParams("url must have at most %d bytes", maxHTTPURLBytes)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return invalidParams("url is not valid")
	case u.Scheme != "http" && u.Scheme != "https":
		return invalidParams("url must be an absolute URL of http or https")
	case u.Hostname() == "" || u.Opaque != "":
		return invalidParams("url must name a host")
	case len(u.Hostname()) > maxHTTPHostBytes:
		return invalidParams("url must have a host of at most %d bytes", maxHTTPHostBytes)
	case strings.ContainsFunc(u.Hostname(), func(c rune) bool { return c > '~' }):
		// net/http maps other characters, also to those of an address, and the audit log would name another host.
		return invalidParams("url must have a host in ASCII")
	case u.Port() != "" && !isPort(u.Port()):
		return invalidParams("url must have a port from 1 to 65535")
	}
	return nil
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// setHeaders sets the headers of a request.
func (q *httpParams) setHeaders(r *http.Request) error {
	if len(q.Headers) > maxHTTPHeaders {
		return invalidParams("headers must have at most %d elements", maxHTTPHeaders)
	}
	size := 0
	for _, h := range q.Headers {
		if size += len(h.Name) + len(h.Value); size > maxHTTPHeaderBytes {
			return invalidParams("headers must have at most %d bytes", maxHTTPHeaderBytes)
		}
		if err := h.check(r); err != nil {
			return err
		}
		r.Header.Add(h.Name, h.Value)
	}
	r.Header.Del("Host")           // that of the URL is sent
	r.Header.Del("Content-Length") // that of the body is sent
	if r.Header["User-Agent"] == nil {
		r.Header["User-Agent"] = []string{""} // else the one of net/http is sent
	}
	if r.Header["Accept"] == nil {
		r.Header.Set("Accept", "*/*") // as Codex's own server
	}
	return nil
}

// connectionHeaders are about the connection, which the client does not see.
var connectionHeaders = []string{
	"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
	"expect",
}

// isToken reports whether a text is a token of HTTP (RFC 9110, section 5.6.2).
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}

// isControl reports whether a character must not be in the value of a header (RFC 9110, section 5.5).
func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

// check returns the error of a header. It does not quote the value.
func (h *httpHeader) check(r *http.Request) error {
	name := strings.ToLower(h.Name)
	switch {
	case !isToken(h.Name):
		return invalidParams("%s is not the name of a header", clip(h.Name))
	case h.ValueEnvVar != nil:
		return invalidParams("the header %s has a valueEnvVar: variables of the server are not sent", clip(h.Name))
	case strings.ContainsFunc(h.Value, isControl):
		return invalidParams("the value of the header %s is not valid", clip(h.Name))
	case slices.Contains(connectionHeaders, name):
		return invalidParams("the header %s is not permitted: it is about the connection of the server", clip(h.Name))
	case name == "host" && !strings.EqualFold(h.Value, r.URL.Host):
		return invalidParams("the header host must be the host of the URL")
	case name == "content-length" && h.Value != strconv.FormatInt(r.ContentLength, 10):
		return invalidParams("the header content-length must be the length of the body")
	}
	return nil
}

// time returns how long the request may take.
func (q *httpParams) time() time.Duration {
	if q.TimeoutMs == nil {
		return maxHTTPTime
	}
	return min(time.Duration(min(*q.TimeoutMs, maxHTTPTime.Milliseconds()))*time.Millisecond, maxHTTPTime)
}
