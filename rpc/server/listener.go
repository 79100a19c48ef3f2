package server

import (
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// listener makes the transientErrors of accept(2) temporary (net.Error), so that the http.Server
// tries again. It adds TLS to connections over TCP.
type listener struct {
	net.Listener
	unauthenticated *unauthenticated
	config          func() *tls.Config // nil without TLS
	timeout         time.Duration      // of a TLS handshake
}

// Accept implements net.Listener. If there is no free descriptor, it closes an unauthenticated
// connection.
func (l listener) Accept() (net.Conn, error) {
	runtime.Gosched() // so that those which are accepted are served before more are
	c, err := l.Listener.Accept()
	switch {
	case err == nil:
		if _, tcp := c.(*net.TCPConn); tcp && l.config != nil {
			return newSecureConn(c, l.config(), l.unauthenticated, l.timeout), nil
		}
		return newUnauthenticatedConn(c, l.unauthenticated), nil
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		l.unauthenticated.closeOne("out of file descriptors")
	case !slices.ContainsFunc(transientErrors, func(e syscall.Errno) bool { return errors.Is(err, e) }):
		return nil, err
	}
	return nil, acceptError{err}
}

// transientErrors are the errors of accept(2) after which a later call can succeed: lack of memory,
// and pending network errors of the new connection, which Linux returns from accept.
var transientErrors = []syscall.Errno{
	syscall.ENOBUFS, syscall.ENOMEM, syscall.EPERM, syscall.EPROTO, syscall.ECONNABORTED, syscall.ECONNRESET,
	syscall.ENETDOWN, syscall.ENOPROTOOPT, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
}

// acceptError is a temporary error. The http.Server pauses for 5 ms to 1 s and accepts again.
type acceptError struct{ error }

func (acceptError) Timeout() bool   { return false }
func (acceptError) Temporary() bool { return true }
