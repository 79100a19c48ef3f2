package main

import (
	"context"
	"errors"
	"slices"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
	"github.com/runnel-rpc/runnel/rpc/server"
)

// link is the connection of `run`, and the server at its other end where that is this process.
type link struct {
	*client.Client
	own  *service
	pair *pairListener
	done chan struct{} // closed when own serves nobody any more
}

// link connects to the server, or to one in this process where there is none.
func (c *runCmd) link(ctx context.Context, o client.Options) (*link, error) {
	conn, err := c.connect(ctx, o)
	if errors.Is(err, errNoServer) && !c.Detach {
		o.Reconnect = nil
		return serveSelf(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	return &link{Client: conn}, nil
}

// serveSelf serves in this process, on a listener that only this process can reach.
func serveSelf(ctx context.Context, o client.Options) (*link, error) {
	host, err := ownHost()
	if err != nil {
		return nil, err
	}
	l := &link{
		own:  newService(&ownBounds, server.Auth{}, host, zerolog.Nop()),
		pair: newPairListener(),
		done: make(chan struct{}),
	}
	go func() {
		defer close(l.done)
		_ = l.own.server.Serve(l.pair)
	}()
	o.Dial = l.pair.dialContext
	if l.Client, err = client.Dial(ctx, socketURL, o); err != nil {
		l.stop()
		return nil, err
	}
	return l, nil
}

// ownHost holds what this process itself runs. That its state can't be kept is no reason not to run.
func ownHost() (*process.Host, error) {
	b := ownBounds
	b.StateDir = defaultState()
	host, err := b.openHost(zerolog.Nop())
	if err != nil && b.StateDir != "" {
		b.StateDir = ""
		host, err = b.openHost(zerolog.Nop())
	}
	return host, err
}

// can reports whether a server announces a capability.
func can(server rpc.Connected, name string) bool { return slices.Contains(server.Capabilities, name) }

// close ends the link when its session has ended.
func (l *link) close() {
	_ = l.Client.Close()
	if l.own != nil {
		l.stop()
	}
}

// abandon ends the session alone, and waits for nobody: what it would wait for may be stuck behind a stdout that
// nobody reads, and ends with the process.
func (l *link) abandon(session string) {
	if l.own != nil {
		l.own.registry.Kill()
		l.own.registry.Shutdown(context.Background())
		_ = closeHost(l.own.host, l.own.log)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), abandonTime)
	defer cancel()
	p := rpc.CancelParams{SessionID: session, Grace: rpc.Seconds{Set: true}}
	_ = l.Notify(ctx, rpc.MethodCancel, p) // or it would linger
	_ = l.Close()
}

func (l *link) stop() {
	l.own.registry.Kill()
	l.own.registry.Shutdown(context.Background())
	l.own.server.Shutdown()
	<-l.done
	_ = closeHost(l.own.host, l.own.log)
}
