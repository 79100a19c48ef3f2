package main

import "github.com/runnel-rpc/runnel/rpc"

type openrpcCmd struct{}

// Run prints the OpenRPC document of the protocol.
func (openrpcCmd) Run(w *world) error {
	_, err := w.stdout.Write(rpc.Document())
	return err
}
