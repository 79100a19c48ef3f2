//go:build linux

package client_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// BenchmarkInput writes input to a command that reads all of it, in pieces of the size that `runnel
// run` reads.
func BenchmarkInput(b *testing.B) {
	url, stop := serve()
	defer stop()
	ctx := context.Background()
	c, err := client.Dial(ctx, url, client.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	s, err := c.Execute(ctx, rpc.ExecuteParams{Command: rpc.Command{Shell: "cat >/dev/null"}, Stdin: rpc.StdinPipe}, client.Events{})
	if err != nil {
		b.Fatal(err)
	}
	piece := bytes.Repeat([]byte("100 bytes of text with a few <html> & \"quotes\" in it, and a line feed at the end, as text has them .\n"), 655)
	b.SetBytes(int64(len(piece)))
	for b.Loop() {
		if err := s.WriteBytes(ctx, piece, false); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.WriteBytes(ctx, nil, true); err != nil {
		b.Fatal(err)
	}
	if _, err := s.Wait(ctx); err != nil {
		b.Fatal(err)
	}
}

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
