package codex

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
)

// TestHTTPError checks that the error of a request has neither its URL nor an address of the server or of its resolver,
// and is not longer than its bound.
func TestHTTPError(t *testing.T) {
	const resolver = "192.0.2.53"
	own := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	for want, err := range map[string]error{
		"no such host":                 &net.DNSError{Err: "no such host", Name: "a.example", Server: resolver + ":53", IsNotFound: true},
		"resolving the name timed out": &net.DNSError{Err: "read udp 192.0.2.1:1->" + resolver + ":53: i/o timeout", Server: resolver + ":53", IsTimeout: true},
		"cannot resolve the name":      &net.DNSError{Err: "server misbehaving", Server: resolver + ":53"},
		"read: reset":                  &net.OpError{Op: "read", Net: "tcp", Source: own, Addr: own, Err: errors.New("reset")},
		strings.Repeat("x", 100):       errors.New(strings.Repeat("x", 100<<10)),
	} {
		if e, ok := err.(*net.DNSError); ok {
			err = &net.OpError{Op: "dial", Net: "tcp", Err: e}
		}
		text := httpError(&url.Error{Op: "Get", URL: "http://user:secret@a.example", Err: err}).Error()
		if !strings.HasPrefix(text, "http/request failed: "+want) || len(text) > 1100 ||
			strings.Contains(text, "192.0.2") || strings.Contains(text, "secret") {
			t.Errorf("%.200s, want %s", text, want)
		}
	}
}
