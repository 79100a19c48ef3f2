package rpc

import "encoding/json"

// OpenRPC is an OpenRPC document, the result of rpc.discover. See https://spec.open-rpc.org for its members.
type OpenRPC struct {
	OpenRPC    string            `json:"openrpc"`
	Info       json.RawMessage   `json:"info"`
	Servers    []json.RawMessage `json:"servers,omitempty"`
	Methods    []json.RawMessage `json:"methods"`
	Components json.RawMessage   `json:"components,omitempty"`
}
