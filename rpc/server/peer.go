package server

import (
	"context"
	"net"

	"github.com/runnel-rpc/runnel/rpc/access"
)

type connKey struct{}

// connContext is the ConnContext hook of the http.Server. The peer is determined once for each
// connection.
func connContext(ctx context.Context, conn net.Conn) context.Context {
	c := conn.(interface{ base() *unauthenticatedConn }).base()
	var p access.Peer
	if u, ok := c.Conn.(*net.UnixConn); ok {
		p = unixPeer(u)
		p.Conn = u
		p.Proxy, _ = ctx.Value(proxyKey{}).(bool)
	}
	return context.WithValue(access.WithPeer(ctx, p), connKey{}, c)
}

// ProxyListener is a listener for Serve, of a Unix socket for proxies: the process at the other end
// is not the caller, so its user is no credential.
type ProxyListener struct{ net.Listener }

type proxyKey struct{}

// baseContext is the BaseContext hook of the http.Server. The context is that of the connections of
// a listener.
func baseContext(l net.Listener) context.Context {
	ctx := context.Background()
	if own, ok := l.(listener); ok {
		l = own.Listener
	}
	if _, ok := l.(ProxyListener); ok {
		ctx = context.WithValue(ctx, proxyKey{}, true)
	}
	return ctx
}

// connOf returns the connection of an HTTP request.
func connOf(ctx context.Context) *unauthenticatedConn {
	c, _ := ctx.Value(connKey{}).(*unauthenticatedConn)
	return c
}
