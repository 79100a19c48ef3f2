package mcp

import (
	"encoding/json"

	"github.com/google/jsonschema-go/jsonschema"
)

// schema is the JSON Schema of the arguments of a tool. It is written by hand, since hosts read it to
// the model, and some accept only simple ones. The tags of the Go type decide what is accepted.
func schema(text string) json.RawMessage { return json.RawMessage(text) }

// outputSchema returns the JSON Schema of a result. Only the named members are required, and others
// may be added later.
func outputSchema[T any](required ...string) *jsonschema.Schema {
	s, err := jsonschema.For[T](nil)
	if err != nil {
		panic(err) // a field has a type that has no schema
	}
	s.Required, s.AdditionalProperties = required, nil
	return s
}

// sessionIDSchema is the schema of the argument session_id.
const sessionIDSchema = `{"type":"string","description":"Id or name of the session."}`
