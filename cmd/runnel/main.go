// Command runnel runs commands for clients far away, over JSON-RPC 2.0 on WebSocket: `runnel serve` is the
// server, the other verbs are clients of it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// SIGPIPE on stdout comes back as EPIPE from the write, so that what runs is still ended in order.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
