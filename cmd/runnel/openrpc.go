package main

import (
	"io"

	"github.com/runnel-rpc/runnel/rpc/openrpc"
)

type openrpcCmd struct{}

// Run prints the OpenRPC document of the protocol.
func (openrpcCmd) Run(inv *invocation) error {
	_, err := io.WriteString(inv.stdout, openrpc.Document())
	return err
}
