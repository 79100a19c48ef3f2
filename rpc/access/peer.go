package access

import (
	"context"
	"syscall"
)

// Peer describes the other end of a connection, as it was when the connection was accepted.
type Peer struct {
	Unix bool // the connection is a Unix socket; else it is TCP
	// Proxy is set on a Unix socket for proxies: the process at the other end is not the caller.
	Proxy bool
	// Known is set if the kernel has told the process at the other end of a Unix socket
	// (SO_PEERCRED, unix(7)): that which called connect(2). It may have exited since.
	Known         bool
	UID, GID, PID int
	// Conn is the Unix socket, for what else the kernel knows of the process; it may be nil.
	Conn syscall.Conn
}

type peerKey struct{}

// WithPeer returns a context with the peer.
func WithPeer(ctx context.Context, p Peer) context.Context {
	return context.WithValue(ctx, peerKey{}, p)
}

// PeerOf returns the peer of the context of an HTTP request.
func PeerOf(ctx context.Context) Peer {
	p, _ := ctx.Value(peerKey{}).(Peer)
	return p
}
