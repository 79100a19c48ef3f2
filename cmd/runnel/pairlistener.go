package main

import (
	"context"
	"net"

	"github.com/runnel-rpc/runnel/rpc/socketpair"
)

// pairListener is a listener for connections within this process: each dial creates a socket pair.
type pairListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPairListener() *pairListener {
	return &pairListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// dialContext connects to the listener.
func (l *pairListener) dialContext(ctx context.Context) (net.Conn, error) {
	client, server, err := socketpair.New()
	if err != nil {
		return nil, err
	}
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		err = net.ErrClosed
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = client.Close()
	_ = server.Close()
	return nil, err
}

// Accept implements net.Listener.
func (l *pairListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It must be called once only.
func (l *pairListener) Close() error {
	close(l.closed)
	return nil
}

// Addr implements net.Listener.
func (l *pairListener) Addr() net.Addr { return &net.UnixAddr{Name: "pair", Net: "unix"} }
