package server

import (
	"context"
	"net"
)

// peer describes a connection when it is accepted.
type peer struct {
	conn net.Conn
	unix bool // the connection is a Unix socket
	own  bool // and the peer is a process of the server's user
}

type peerKey struct{}

// connContext is the ConnContext hook of the http.Server. The peer is determined once for each
// connection.
func connContext(ctx context.Context, c net.Conn) context.Context {
	p := peer{conn: c}
	if u, ok := c.(*net.UnixConn); ok {
		p.unix, p.own = true, ownPeer(u)
	}
	return context.WithValue(ctx, peerKey{}, p)
}

func peerOf(ctx context.Context) peer {
	p, _ := ctx.Value(peerKey{}).(peer)
	return p
}
