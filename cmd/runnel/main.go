// Command runnel runs commands for clients far away, over JSON-RPC 2.0 on WebSocket: `runnel serve` is the
// server, the other verbs are clients of it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/runnel-rpc/runnel/process"
)

func main() {
	process.Step()
	// A broken pipe on stdout comes back from the write, so that what runs is still ended in order. The signal
	// is caught, not ignored: commands would inherit that, and `yes | head` in them would not end silently.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
