// Package rpc has the Runnel protocol, version 1, as Go types: the names of the methods and notifications, their params
// and results, and the errors with their codes. Clients import it; package client is a complete client.
//
// Exported names stay compatible within a major version of the module. Structs may gain fields.
package rpc
