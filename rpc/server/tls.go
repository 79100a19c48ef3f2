package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
)

// belowTLS is the connection below a *tls.Conn. From the upgrade to a WebSocket on, what TLS writes
// goes through the socket, with its deadline on progress, and the liveness sees what TLS reads: a
// record arrives slowly from a slow peer, and is no message before its end.
type belowTLS struct {
	net.Conn
	sock atomic.Pointer[socket] // nil until the upgrade
	peer atomic.Pointer[liveness]
}

// newSecureConn returns a TLS connection above an accepted one. Its handshake is made by the
// http.Server, in the goroutine of the connection and within Options.RequestTimeout.
func newSecureConn(c net.Conn, config *tls.Config) *tls.Conn {
	return tls.Server(&belowTLS{Conn: c}, config)
}

func (b *belowTLS) use(s *socket) { b.sock.Store(s) }

func (b *belowTLS) watch(l *liveness) { b.peer.Store(l) }

// Write implements io.Writer.
func (b *belowTLS) Write(p []byte) (int, error) {
	s := b.sock.Load()
	if s == nil {
		return b.Conn.Write(p)
	}
	if err := s.writePlain(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Read implements io.Reader.
func (b *belowTLS) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if l := b.peer.Load(); l != nil && n > 0 {
		l.Touch()
	}
	return n, err
}

// kernelConn returns the connection below TLS, or c if there is no TLS.
func kernelConn(c net.Conn) net.Conn {
	if secure, ok := c.(*tls.Conn); ok {
		if below, ok := secure.NetConn().(*belowTLS); ok {
			return below.Conn
		}
	}
	return c
}

// The reasons for which a TLS handshake is refused.
const (
	refusedCertificate = "client certificate refused"
	refusedPlainHTTP   = "HTTP without TLS"
	refusedHandshake   = "TLS handshake failed"
	handshakeTimeout   = "TLS handshake timed out"
)

// handshakeFailed counts the connection as refused if its TLS handshake has failed. It is called
// when the connection is closed.
func (s *Server) handshakeFailed(c *tls.Conn) {
	err := c.Handshake() // returns the error of the handshake that was made
	var certificate *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	reason, detail := refusedHandshake, ""
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed): // closed by the peer; counted elsewhere
		return
	case errors.As(err, &certificate):
		reason, detail = refusedCertificate, certificateFault(certificate.Err)
	case errors.As(err, &header):
		reason = refusedPlainHTTP
	case errors.Is(err, os.ErrDeadlineExceeded):
		reason = handshakeTimeout
	}
	s.o.Log.Debug().Err(err).Str("remote", c.RemoteAddr().String()).Msg(reason)
	s.refusals.add(reason, detail, c.RemoteAddr().String())
}

// certificateFault returns why a certificate is refused, in one of a few texts.
func certificateFault(err error) string {
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return "its authority is not accepted"
	}
	invalid, _ := errors.AsType[x509.CertificateInvalidError](err)
	switch invalid.Reason {
	case x509.Expired:
		return "it has expired, or is not valid yet"
	case x509.IncompatibleUsage:
		return "it is not for clients"
	}
	return ""
}

// stateChanged is the ConnState hook of the http.Server.
func (s *Server) stateChanged(c net.Conn, state http.ConnState) {
	s.unauthenticated.stateChanged(c, state)
	if secure, ok := c.(*tls.Conn); ok && state == http.StateClosed {
		s.handshakeFailed(secure)
	}
}
