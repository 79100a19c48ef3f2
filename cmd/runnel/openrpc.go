package main

import (
	"io"

	"github.com/runnel-rpc/runnel/rpc/openrpc"
)

type openrpcCmd struct{}

// Run prints the OpenRPC document of the protocol.
func (openrpcCmd) Run(w *world) error {
	_, err := io.WriteString(w.stdout, openrpc.Document())
	return err
}
