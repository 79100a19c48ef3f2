package main

import (
	"context"
	"errors"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// listed returns all sessions, newest first, from as many pages as there are. More is true where a server that knows no
// pages left some out.
func listed(ctx context.Context, conn *client.Client) (all []rpc.SessionStatus, more bool, err error) {
	all = []rpc.SessionStatus{} // which is [] in JSON
	for after := ""; ; {
		var page rpc.ListResult
		if err := conn.CallIdempotent(ctx, rpc.MethodList, rpc.ListParams{After: after}, &page); err != nil {
			return nil, false, err
		}
		all = append(all, page.Sessions...)
		switch page.Next {
		case "":
			return all, page.Truncated, nil
		case after:
			return nil, false, errors.New("list: the server repeats a page")
		}
		after = page.Next
	}
}
