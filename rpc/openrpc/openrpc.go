// Package openrpc holds the OpenRPC document of the protocol, and the description of a method from which it is generated.
// The generator is a command of its own, in the directory gen.
package openrpc

import (
	_ "embed"
	"reflect"
)

// The generator also writes docs/openrpc.json.
//go:generate go run ./gen

//go:embed openrpc.json
var document string

// Document returns the document, indented.
func Document() string { return document }

// Method describes a method of the protocol, for the document.
type Method struct {
	Name    string
	Summary string
	// Description is what else a caller has to know.
	Description string
	// Params is the struct that the params are decoded into; nil if they are ignored.
	Params reflect.Type
	// Results are the types that the result may have; none if the result is null.
	Results []reflect.Type
	// Notification is set if clients send the method as a notification only.
	Notification bool
	// Errors are the codes of the errors of this method, without those that any request may get.
	Errors []int
}
