package egress

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"
)

// httpConn is a connection from the command that speaks HTTP.
type httpConn struct {
	*client
	proxy *Proxy
	link  *link // of the last request, if it can be used again
}

func (p *Proxy) serveHTTP(c *client) {
	h := &httpConn{client: c, proxy: p}
	defer h.dropLink()
	for h.serveRequest() {
	}
}

func (c *httpConn) dropLink() {
	if c.link != nil {
		c.link.end()
		c.link = nil
	}
}

// serveRequest reads a request and answers it. It reports whether another one may follow.
func (c *httpConn) serveRequest() bool {
	if c.r.Buffered() == 0 {
		c.SetReadDeadline(time.Now().Add(idleTime))
		if _, err := c.r.Peek(1); err != nil {
			return false
		}
	}
	c.proxy.rate.Wait(c.proxy.ctx)
	c.SetReadDeadline(time.Now().Add(headTime))
	req, code, err := c.readRequest()
	if err != nil {
		if code != 0 {
			c.respondError(code, err.Error(), "http_request_error")
		}
		return false
	}
	c.SetReadDeadline(time.Time{})
	if req.Method == http.MethodConnect {
		c.connect(req)
		return false
	}
	return c.forward(req)
}

// readRequest reads the head of a request. With an error it returns the status code of the
// response, or 0 if there is nobody to answer.
func (c *httpConn) readRequest() (*http.Request, int, error) {
	head, err := peekHead(c.r)
	switch {
	case err == errHeadTooLong:
		return nil, http.StatusRequestHeaderFieldsTooLarge, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, http.StatusRequestTimeout, errors.New("the head has not arrived in time")
	case err != nil:
		return nil, 0, err
	}
	if err := checkRequestHead(head); err != nil {
		return nil, http.StatusBadRequest, err
	}
	req, err := http.ReadRequest(c.r)
	if err != nil {
		return nil, http.StatusBadRequest, errors.New("invalid request")
	}
	if req.Proto != "HTTP/1.0" && req.Proto != "HTTP/1.1" {
		return nil, http.StatusHTTPVersionNotSupported, errors.New("the version is not HTTP/1.0 or HTTP/1.1")
	}
	return req, 0, nil
}

// connect opens the tunnel that a CONNECT request asks for. Only the request line decides where to.
func (c *httpConn) connect(req *http.Request) {
	t, err := parseTarget(req.RequestURI, 0)
	if err == nil && req.ContentLength != 0 {
		err = errors.New("CONNECT has a body")
	}
	if err != nil {
		c.respondError(http.StatusBadRequest, "CONNECT: "+err.Error(), "http_request_error")
		return
	}
	l, err := c.proxy.reach(t)
	if err != nil {
		c.respondUnreached(err)
		return
	}
	defer l.end()
	ahead := c.detach()
	if _, err := io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n"); err == nil {
		c.proxy.tunnel(c.Conn, ahead, l)
	}
}

var (
	errHTTPS       = errors.New("https is reached by CONNECT")
	errNotAbsolute = errors.New("this is a proxy: the target has to be an http URL, or that of CONNECT")
	errUserInfo    = errors.New("the URL has a user")
)

// urlTarget returns the destination of a request that is not CONNECT.
func urlTarget(u *url.URL) (target, error) {
	switch {
	case u.Scheme == "https":
		return target{}, errHTTPS
	case u.Scheme != "http" || u.Host == "" || u.Opaque != "":
		return target{}, errNotAbsolute
	case u.User != nil:
		return target{}, errUserInfo
	}
	return parseTarget(u.Host, 80)
}

// respondUnreached answers a request whose target was refused or not reached.
func (c *httpConn) respondUnreached(err error) {
	var refused *refusal
	var failed *failure
	switch {
	case errors.As(err, &refused):
		kind := "http_request_denied"
		if refused.reason == NotPublic {
			kind = "destination_ip_prohibited"
		}
		c.respondError(http.StatusForbidden, err.Error(), kind)
	case errors.As(err, &failed):
		code := http.StatusBadGateway
		if failed.cause == connectionTimeout || failed.cause == resolverTimeout {
			code = http.StatusGatewayTimeout
		}
		c.respondError(code, err.Error(), failureKinds[failed.cause])
	}
}

// failureKinds are the types of errors in Proxy-Status (RFC 9209, section 2.3).
var failureKinds = [...]string{
	cannotConnect:      "destination_unavailable",
	connectionRefused:  "connection_refused",
	networkUnreachable: "destination_ip_unroutable",
	hostUnreachable:    "destination_ip_unroutable",
	connectionTimeout:  "connection_timeout",
	noSuchHost:         "dns_error",
	resolverFailed:     "dns_error",
	resolverTimeout:    "dns_timeout",
	connectionLost:     "connection_terminated",
	invalidResponse:    "http_protocol_error",
}

// respondError sends a response of the proxy itself, after which the connection is closed.
func (c *httpConn) respondError(code int, text, kind string) {
	c.SetWriteDeadline(time.Now().Add(lingerTime))
	io.WriteString(c, errorResponse(code, text, kind))
	linger(c.Conn)
}

// errorResponse has the text in the status line too, because many clients report only that of a
// failed CONNECT.
func errorResponse(code int, text, kind string) string {
	status := ""
	if kind != "" {
		status = "Proxy-Status: runnel; error=" + kind + "\r\n"
	}
	body := "runnel: " + text + "\n"
	return fmt.Sprintf("HTTP/1.1 %d %s\r\n%sContent-Type: text/plain\r\nContent-Length: %d\r\n"+
		"Connection: close\r\n\r\n%s", code, text, status, len(body), body)
}
