package codex

import (
	"errors"
	"net"
	"net/url"

	"github.com/runnel-rpc/runnel/process/egress"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/wire"
)

// maxHTTPErrorBytes is the longest text of an error of a request. The text may quote what the other server
// has sent.
const maxHTTPErrorBytes = 1024

// httpError converts the error of a request. That of net/http quotes the URL, which may have a password, and that
// of net an address of the server or of its resolver, which a sandbox need not show.
func httpError(err error) error {
	if e, ok := errors.AsType[*wireError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*rpc.Error](err); ok { // of Caller.NetworkAccess
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
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		text = lookupError(e)
	}
	return &wireError{Code: codeInternal, Message: "http/request failed: " + wire.Clip(text, maxHTTPErrorBytes)}
}

// lookupError returns what an error of the resolver says.
func lookupError(e *net.DNSError) string {
	switch {
	case e.IsNotFound:
		return "no such host"
	case e.IsTimeout:
		return "resolving the name timed out"
	}
	return "cannot resolve the name"
}
