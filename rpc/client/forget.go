package client

import (
	"context"

	"github.com/runnel-rpc/runnel/rpc"
)

// Forget deletes the record and the output of a session that has ended, by its id or name. The request is sent once: if
// the connection is lost, Forget returns ErrClosed, and the session may have been deleted.
func (c *Client) Forget(ctx context.Context, id string) error {
	return c.Call(ctx, rpc.MethodForget, rpc.ForgetParams{SessionID: id}, nil)
}
