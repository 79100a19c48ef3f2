package main

import (
	"context"
	"errors"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// eachPage calls f with the pages of a list, newest first. The last page is Truncated if sessions
// are missing because the server does not support pages.
func eachPage(ctx context.Context, conn *client.Client, p rpc.ListParams, f func(*rpc.ListResult) error) error {
	for {
		var page rpc.ListResult
		if err := conn.CallIdempotent(ctx, rpc.MethodList, p, &page); err != nil {
			return err
		}
		if page.Next != "" && page.Next == p.After {
			return errors.New("list: server returned the same page again")
		}
		if err := f(&page); err != nil || page.Next == "" {
			return err
		}
		p.After = page.Next
	}
}
