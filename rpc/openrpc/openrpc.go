// Package openrpc holds the OpenRPC document of the protocol.
//
// # Compatibility
//
// As long as the major version of the module is 0, a minor version may change this API, and
// docs/changelog.md lists each such change. From v1 on, the exported names stay source compatible
// within a major version. Methods, notifications, fields and errors in the document change only as
// the version of the protocol permits (rpc.Version): within it they are added. Titles, descriptions
// and the layout of the document may change with every version of the module.
package openrpc

import _ "embed"

// The generator also writes docs/openrpc.json.
//go:generate go run ./gen

//go:embed openrpc.json
var document string

// Document returns the document, indented.
func Document() string { return document }
