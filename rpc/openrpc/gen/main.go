// Command gen writes the OpenRPC document of the protocol to openrpc.json, in the directory of package openrpc, and to
// docs/openrpc.json. Run it with "go generate ./rpc/openrpc".
package main

import (
	"log"
	"os"
	"path/filepath"

	"github.com/runnel-rpc/runnel/rpc/server"
)

// files are the copies of the document, relative to the directory of package rpc.
var files = []string{"openrpc/openrpc.json", "../docs/openrpc.json"}

func main() {
	log.SetFlags(0)
	const dir = ".." // go generate runs in the directory of package openrpc
	text, err := generate(server.Methods(), dir)
	if err != nil {
		log.Fatal(err)
	}
	for _, file := range files {
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
