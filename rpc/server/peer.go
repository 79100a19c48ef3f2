package server

import (
	"context"
	"net"
)

// peer is what is known of a connection before it says anything.
type peer struct {
	conn net.Conn
	unix bool // came over a Unix socket
	own  bool // and from this user's process
}

type peerKey struct{}

// connContext is the http.Server's: it looks at a connection once, when it is accepted.
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
