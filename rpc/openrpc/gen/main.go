// Command gen writes the OpenRPC document of the protocol to openrpc.json, in the directory of
// package openrpc, and to docs/openrpc.json. Run it with "go generate ./rpc/openrpc".
//
// The schemas are generated here, from the types and their doc comments and from the rules by which
// package wire checks params. Two libraries do not fit. github.com/google/jsonschema-go (v0.4.3)
// copies the schema of a struct into each place that uses it, where OpenRPC needs components, and
// reads neither doc comments nor rules: its only struct tag is a description.
// github.com/invopop/jsonschema (v0.14.0) reads doc comments, but writes draft 2020-12 with $defs,
// where OpenRPC needs draft 07, allows one type for each schema, so that null needs a oneOf, and
// reads enumerations and bounds from a tag of its own, which would repeat those of wire.
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
