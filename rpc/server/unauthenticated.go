package server

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
)

// unauthenticated contains the connections that are not WebSockets, or not yet. Their number is
// bounded, because each has a descriptor and memory. One too many closes the oldest one of the peer
// that has most, so a peer that opens connections fast closes its own. Connections of processes of
// the server's user are not counted. The methods may be called concurrently.
type unauthenticated struct {
	most     int
	refusals *refusals

	mu    sync.Mutex
	conns []unauthenticatedConn // oldest first
}

type unauthenticatedConn struct {
	net.Conn
	peer refusedPeer
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
	peer, own := peerOfConn(c)
	if own {
		return
	}
	u.mu.Lock()
	u.conns = append(u.conns, unauthenticatedConn{c, peer})
	full := len(u.conns) > u.most
	u.mu.Unlock()
	if full {
		u.closeOldest("too many unauthenticated connections")
	}
}

func (u *unauthenticated) remove(c net.Conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if i := slices.IndexFunc(u.conns, func(x unauthenticatedConn) bool { return x.Conn == c }); i >= 0 {
		u.conns = slices.Delete(u.conns, i, i+1)
	}
}

// peerOfConn returns the peer of a connection that was accepted, and whether it is a process of the
// server's user.
func peerOfConn(c net.Conn) (peer refusedPeer, own bool) {
	unix, ok := kernelConn(c).(*net.UnixConn)
	if !ok {
		return refusedPeer{address: addressOf(c.RemoteAddr().String())}.key(), false
	}
	p := unixPeer(unix)
	if !p.Known {
		return refusedPeer{unix: true, uid: -1}, false
	}
	return refusedPeer{unix: true, uid: p.UID}, p.UID == os.Geteuid()
}

// oldest returns the oldest connection of the peer that has most. u.mu is held; there is one.
func (u *unauthenticated) oldest() int {
	count := make(map[refusedPeer]int, len(u.conns))
	most := 0
	for _, c := range u.conns {
		count[c.peer]++
		most = max(most, count[c.peer])
	}
	return slices.IndexFunc(u.conns, func(c unauthenticatedConn) bool { return count[c.peer] == most })
}

// closeOldest closes the oldest connection of the peer that has most, if there is one.
func (u *unauthenticated) closeOldest(why string) {
	u.mu.Lock()
	if len(u.conns) == 0 {
		u.mu.Unlock()
		return
	}
	i := u.oldest()
	c := u.conns[i].Conn
	u.conns = slices.Delete(u.conns, i, i+1)
	u.mu.Unlock()
	kernel := kernelConn(c) // TLS is not closed: that may wait for the peer
	if tcp, ok := kernel.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // close by RST, so that the kernel keeps no state for a peer that does not close
	}
	_ = kernel.Close()
	u.refusals.add(why, "", c.RemoteAddr().String())
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
