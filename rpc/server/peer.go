package server

import (
	"context"
	"net"

	"github.com/runnel-rpc/runnel/rpc/access"
)

type connKey struct{}

// connContext is the ConnContext hook of the http.Server. The peer is determined once for each
// connection.
func connContext(ctx context.Context, c net.Conn) context.Context {
	var p access.Peer
	if u, ok := c.(*net.UnixConn); ok {
		p = unixPeer(u)
	}
	return context.WithValue(access.WithPeer(ctx, p), connKey{}, c)
}

// connOf returns the connection of an HTTP request.
func connOf(ctx context.Context) net.Conn {
	c, _ := ctx.Value(connKey{}).(net.Conn)
	return c
}
