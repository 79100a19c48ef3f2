package server

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
)

// unauthenticated contains the TCP connections that are not WebSockets, or not yet. Their number is
// bounded, because each has a descriptor and memory: one too many closes the oldest. Connections
// over the Unix socket are not counted. The methods may be called concurrently.
type unauthenticated struct {
	most     int
	refusals *refusals

	mu    sync.Mutex
	conns []net.Conn // oldest first
}

func newUnauthenticated(most int, r *refusals) *unauthenticated {
	return &unauthenticated{most: most, refusals: r}
}

// stateChanged is the ConnState hook of the http.Server.
func (u *unauthenticated) stateChanged(c net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		u.add(c)
	case http.StateHijacked, http.StateClosed:
		u.remove(c)
	}
}

// add counts a connection, and closes the oldest if it is one too many.
func (u *unauthenticated) add(c net.Conn) {
	if _, tcp := kernelConn(c).(*net.TCPConn); !tcp {
		return
	}
	u.mu.Lock()
	u.conns = append(u.conns, c)
	full := len(u.conns) > u.most
	u.mu.Unlock()
	if full {
		u.closeOldest("too many unauthenticated connections")
	}
}

func (u *unauthenticated) remove(c net.Conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if i := slices.Index(u.conns, c); i >= 0 {
		u.conns = slices.Delete(u.conns, i, i+1)
	}
}

// closeOldest closes the oldest connection, if there is one.
func (u *unauthenticated) closeOldest(why string) {
	u.mu.Lock()
	if len(u.conns) == 0 {
		u.mu.Unlock()
		return
	}
	c := u.conns[0]
	u.conns = slices.Delete(u.conns, 0, 1)
	u.mu.Unlock()
	kernel := kernelConn(c) // TLS is not closed: that may wait for the peer
	if tcp, ok := kernel.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // close by RST, so that the kernel keeps no state for a peer that does not close
	}
	_ = kernel.Close()
	u.refusals.add(why, c.RemoteAddr().String(), 0)
}

// listener makes the transientErrors of accept(2) temporary (net.Error), so that the http.Server
// tries again. It adds TLS to connections over TCP.
type listener struct {
	net.Listener
	unauthenticated *unauthenticated
	config          func() *tls.Config // nil without TLS
}

// Accept implements net.Listener. If there is no free descriptor, it closes the oldest
// unauthenticated connection.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	switch {
	case err == nil:
		if _, tcp := c.(*net.TCPConn); tcp && l.config != nil {
			return newSecureConn(c, l.config()), nil
		}
		return c, nil
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		l.unauthenticated.closeOldest("out of file descriptors")
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
