// Package openrpc holds the OpenRPC document of the protocol.
package openrpc

import _ "embed"

// The generator also writes docs/openrpc.json.
//go:generate go run ./gen

//go:embed openrpc.json
var document string

// Document returns the document, indented.
func Document() string { return document }
