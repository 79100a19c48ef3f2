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

// runClient is the client of `run` and `mcp`, with the server in this process if no other server is running.
type runClient struct {
	*client.Client
	server   *service // nil if the client is connected to another process
	listener *pairListener
	served   chan struct{} // closed when server.Serve has returned
}

// connectOrServe connects to the server, or to one in this process if no other one is running.
func (c *runCmd) connectOrServe(ctx context.Context, o client.Options) (*runClient, error) {
	if c.Detach {
		conn, err := c.connect(ctx, o)
		if err != nil {
			return nil, err
		}
		return &runClient{Client: conn}, nil
	}
	return c.target.connectOrServe(ctx, o, inProcessBounds, zerolog.Nop())
}

// connectOrServe connects to the server, or to one in this process with these bounds if no other one
// is running.
func (t *target) connectOrServe(ctx context.Context, o client.Options, b bounds, log zerolog.Logger) (*runClient, error) {
	conn, err := t.connect(ctx, o)
	if errors.Is(err, errNoServer) {
		o.Reconnect = nil
		return serveInProcess(ctx, o, b, log)
	}
	if err != nil {
		return nil, err
	}
	return &runClient{Client: conn}, nil
}

// serveInProcess starts a server in this process, on a listener that no other process can reach,
// and connects to it.
func serveInProcess(ctx context.Context, o client.Options, b bounds, log zerolog.Logger) (*runClient, error) {
	host, err := inProcessHost(b, log)
	if err != nil {
		return nil, err
	}
	c := &runClient{
		server:   newService(&b, server.Options{}, host, nil, log),
		listener: newPairListener(),
		served:   make(chan struct{}),
	}
	go func() {
		defer close(c.served)
		_ = c.server.server.Serve(c.listener)
	}()
	o.Dial = c.listener.dialContext
	if c.Client, err = client.Dial(ctx, socketURL, o); err != nil {
		c.stopServer()
		return nil, err
	}
	return c, nil
}

// inProcessHost opens the host of the server in this process. If the state directory cannot be
// used, it opens it without one.
func inProcessHost(b bounds, log zerolog.Logger) (*process.Host, error) {
	b.StateDir = defaultStateDir()
	sandboxes := sandboxOptions{hidden: absolutePaths(ownFiles())}
	host, err := b.openHost(sandboxes, log)
	if err != nil && b.StateDir != "" {
		b.StateDir = ""
		host, err = b.openHost(sandboxes, log)
	}
	return host, err
}

// hasCapability reports whether a server has announced a capability.
func hasCapability(server rpc.Connected, name string) bool {
	return slices.Contains(server.Capabilities, name)
}

// close closes the client, and the server in this process, after the session has ended.
func (c *runClient) close() {
	_ = c.Client.Close()
	if c.server != nil {
		c.stopServer()
	}
}

// abandon ends the session without waiting for its events: their delivery may be blocked by a
// stdout that is not read.
func (c *runClient) abandon(session string) {
	if c.server != nil {
		c.server.killSessions()
		_ = closeHost(c.server.host, c.server.log)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), abandonTimeout)
	defer cancel()
	p := rpc.CancelParams{SessionID: session, Grace: rpc.Seconds{Set: true}}
	_ = c.Notify(ctx, rpc.MethodCancel, p) // else the session continues until its linger is over
	_ = c.Close()
}

func (c *runClient) stopServer() {
	c.server.killSessions()
	c.server.server.Shutdown()
	<-c.served
	_ = closeHost(c.server.host, c.server.log)
}
