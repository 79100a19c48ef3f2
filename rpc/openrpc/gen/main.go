// Command gen writes the OpenRPC document of the protocol to openrpc.json, in the directory of package openrpc, and to
// docs/openrpc.json. Run it with "go generate ./rpc/openrpc".
package main

import (
	"log"
	"os"

	"github.com/runnel-rpc/runnel/rpc/server"
)

// files are where the document is written to, relative to the directory of package openrpc.
var files = []string{"openrpc.json", "../../docs/openrpc.json"}

func main() {
	log.SetFlags(0)
	text, err := generate(server.Methods())
	if err != nil {
		log.Fatal(err)
	}
	for _, file := range files {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
