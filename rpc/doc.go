// Package rpc has the Runnel protocol, version 1, as Go types: the names of the methods and
// notifications, their params and results, and the errors with their codes. Clients import it;
// package client is a complete client.
//
// Exported names stay compatible within a major version of the module, from v1 on. Structs may gain
// fields.
//
// # Fields
//
// The first paragraph of the doc comment of a type or a field is also its description in the
// OpenRPC document. Besides json and the tags that [wire.DecodeParams] checks (rpc, enum, min,
// max), that document shows these tags:
//
//	default:"none"   the default that the protocol defines
//	values:"a,b"     the values of a string that its handler checks
//	type:"object"    the JSON types of raw JSON, or of its items
package rpc
