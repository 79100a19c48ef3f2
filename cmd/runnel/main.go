// Command runnel runs commands for remote clients, over JSON-RPC 2.0 on WebSocket. `runnel serve`
// is the server; the other verbs are clients of it.
//
// Each verb has a file of its own, with a struct whose fields are its flags and a method Run.
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
	// Catch SIGPIPE, so that a write to a closed stdout returns EPIPE and the command is still
	// ended in order. The signal must not be ignored: commands would inherit that, and `yes | head`
	// in them would not end.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
