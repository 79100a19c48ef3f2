//go:build linux

package client_test

import (
	"context"
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// BenchmarkCall measures the round trip of a request that the server answers at once.
func BenchmarkCall(b *testing.B) {
	url, stop := serve()
	defer stop()
	ctx := context.Background()
	c, err := client.Dial(ctx, url, client.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for b.Loop() {
		if err := c.Call(ctx, rpc.MethodList, rpc.ListParams{}, nil); err != nil {
			b.Fatal(err)
		}
	}
}
