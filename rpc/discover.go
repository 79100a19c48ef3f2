package rpc

import "encoding/json"

// OpenRPC is an OpenRPC document, the result of rpc.discover. See https://spec.open-rpc.org for its
// members.
type OpenRPC struct {
	// The version of OpenRPC.
	OpenRPC string `json:"openrpc"`
	// The title and the version of the protocol.
	Info json.RawMessage `json:"info" type:"object"`
	// The address at which a server listens unless configured.
	Servers []json.RawMessage `json:"servers,omitempty" type:"object"`
	// The methods and notifications.
	Methods []json.RawMessage `json:"methods" type:"object"`
	// The schemas and errors that the methods refer to.
	Components json.RawMessage `json:"components,omitempty" type:"object"`
}
