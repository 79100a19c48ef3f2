package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// belowTLS is the connection below a *tls.Conn. From the upgrade to a WebSocket on, what TLS writes
// goes through the socket, with its deadline on progress, and the liveness sees what TLS reads: a
// record arrives slowly from a slow peer, and is no message before its end.
type belowTLS struct {
	net.Conn
	sock atomic.Pointer[socket] // nil until the upgrade
	peer atomic.Pointer[liveness]
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

// secureConn is an unauthenticatedConn with TLS. It makes its own handshake, because net/http makes
// that of a *tls.Conn only.
type secureConn struct {
	*unauthenticatedConn
	tls     *tls.Conn
	timeout time.Duration // of the handshake
	failed  bool
}

// newSecureConn returns a TLS connection above an accepted one.
func newSecureConn(c net.Conn, config *tls.Config, list *unauthenticated, timeout time.Duration) *secureConn {
	secure := tls.Server(&belowTLS{Conn: c}, config)
	return &secureConn{unauthenticatedConn: newUnauthenticatedConn(secure, list), tls: secure, timeout: timeout}
}

// ConnectionState makes the handshake, for at most the timeout. net/http calls it once, in the
// goroutine of the connection and before it reads; the result is that of the requests.
func (c *secureConn) ConnectionState() tls.ConnectionState {
	_ = c.SetDeadline(time.Now().Add(c.timeout))
	if err := c.tls.Handshake(); err != nil {
		c.failed = true
		c.handshakeFailed(err)
	}
	_ = c.SetDeadline(time.Time{})
	return c.tls.ConnectionState()
}

// Read implements io.Reader.
func (c *secureConn) Read(b []byte) (int, error) {
	if c.failed {
		return 0, io.EOF
	}
	return c.unauthenticatedConn.Read(b)
}

// handshakeFailed counts the connection as refused, and answers a request without TLS.
func (c *secureConn) handshakeFailed(err error) {
	var certificate *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	reason, detail := refusedHandshake, ""
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed): // closed by the peer; counted elsewhere
		return
	case errors.As(err, &certificate):
		reason, detail = refusedCertificate, certificateFault(certificate.Err)
	case errors.As(err, &header):
		reason = refusedPlainHTTP
	case errors.Is(err, os.ErrDeadlineExceeded):
		reason = handshakeTimeout
	}
	c.refusals.log.Debug().Err(err).Str("remote", c.RemoteAddr().String()).Msg(reason)
	if !c.refuse(reason, detail) {
		c.hold()
	} else if header.Conn != nil {
		_, _ = io.WriteString(header.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nThis server requires TLS.\n")
	}
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
