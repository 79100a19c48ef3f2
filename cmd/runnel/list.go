package main

import (
	"context"
	"errors"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// listSessions returns all sessions, newest first, from all pages. More is true if sessions are
// missing because the server does not support pages.
func listSessions(ctx context.Context, conn *client.Client) (all []rpc.SessionStatus, more bool, err error) {
	all = []rpc.SessionStatus{} // not nil, which is null in JSON
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
			return nil, false, errors.New("list: server returned the same page again")
		}
		after = page.Next
	}
}
