package server

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
)

// unauthenticated are the TCP connections that nobody has authenticated: those that are not, or not yet, a WebSocket. They are
// bounded, because each holds a descriptor and memory: one too many closes the oldest. Connections over the Unix socket
// are the owner's and not among them. Its methods may be called concurrently.
type unauthenticated struct {
	most     int
	refusals *refusals

	mu    sync.Mutex
	conns []net.Conn // the oldest first
}

func newUnauthenticated(most int, r *refusals) *unauthenticated {
	return &unauthenticated{most: most, refusals: r}
}

// state is the http.Server's ConnState.
func (u *unauthenticated) state(c net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		u.add(c)
	case http.StateHijacked, http.StateClosed:
		u.remove(c)
	}
}

// add counts a connection, and closes the oldest if it is one too many.
func (u *unauthenticated) add(c net.Conn) {
	if _, tcp := c.(*net.TCPConn); !tcp {
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
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // by RST: the kernel keeps nothing for a peer that does not close
	}
	_ = c.Close()
	u.refusals.add(why, c.RemoteAddr().String(), 0)
}

// listener is one that no lack of resources ends: what accept(2) may fail with for a while is temporary, and the
// http.Server tries again after a pause.
type listener struct {
	net.Listener
	unauthenticated *unauthenticated
}

// Accept implements net.Listener. Without a descriptor for a new connection it closes the oldest unauthenticated one.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		l.unauthenticated.closeOldest("out of file descriptors")
	case !slices.ContainsFunc(passing, func(e syscall.Errno) bool { return errors.Is(err, e) }):
		return nil, err
	}
	return nil, acceptError{err}
}

// passing are the errors of accept(2) that end by themselves: lack of memory, and those of the connection or the network
// that Linux reports for the next connection.
var passing = []syscall.Errno{
	syscall.ENOBUFS, syscall.ENOMEM, syscall.EPERM, syscall.EPROTO, syscall.ECONNABORTED, syscall.ECONNRESET,
	syscall.ENETDOWN, syscall.ENOPROTOOPT, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
}

// acceptError is temporary to the http.Server, which pauses for 5 ms to 1 s and goes on.
type acceptError struct{ error }

func (acceptError) Timeout() bool   { return false }
func (acceptError) Temporary() bool { return true }
