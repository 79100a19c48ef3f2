package mcp

import (
	"context"
	"sync"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
	"github.com/runnel-rpc/runnel/rpc/server"
)

// localCaller is the Caller of an HTTP request. It connects to the Runnel server, within the process, when
// something is called, since many requests of a host call nothing.
type localCaller struct {
	local     *server.LocalRequest
	connected rpc.Connected

	mu     sync.Mutex
	client *client.Client
}

// connect returns the client.
func (c *localCaller) connect(ctx context.Context) (*client.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil {
		conn, err := client.Dial(ctx, "ws://local/ws", client.Options{Dial: c.local.Dial})
		if err != nil {
			return nil, err
		}
		c.client = conn
	}
	return c.client, nil
}

// Call implements Caller.
func (c *localCaller) Call(ctx context.Context, method string, params, result any) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	return conn.Call(ctx, method, params, result)
}

// CallIdempotent implements Caller. The connection cannot be lost before the server ends it.
func (c *localCaller) CallIdempotent(ctx context.Context, method string, params, result any) error {
	return c.Call(ctx, method, params, result)
}

// Connected implements Caller.
func (c *localCaller) Connected() rpc.Connected { return c.connected }

// close closes the connection, if there is one. No call may be in progress.
func (c *localCaller) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		_ = c.client.Close()
	}
}
