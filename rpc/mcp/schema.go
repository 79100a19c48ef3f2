package mcp

import (
	"encoding/json"
	"sync"

	"github.com/google/jsonschema-go/jsonschema"
)

// schema is the JSON Schema of the arguments of a tool. It is written by hand, since hosts read it to
// the model, and some accept only simple ones. The tags of the Go type decide what is accepted.
func schema(text string) json.RawMessage { return json.RawMessage(text) }

// outputSchema returns a function that returns the JSON Schema of a result. Only the named members are
// required, and others may be added later. It is made once, since each request over HTTP has its own Server.
func outputSchema[T any](required ...string) func() *jsonschema.Schema {
	return sync.OnceValue(func() *jsonschema.Schema {
		s, err := jsonschema.For[T](nil)
		if err != nil {
			panic(err) // a field has a type that has no schema
		}
		s.Required, s.AdditionalProperties = required, nil
		splitNull(s)
		return s
	})
}

// splitNull replaces each list of types, which is null and another one, by alternatives with one type: some
// hosts map schemas to a dialect in which a schema has one type.
func splitNull(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	for _, p := range s.Properties {
		splitNull(p)
	}
	splitNull(s.Items)
	if len(s.Types) != 2 || s.Types[0] != "null" {
		return
	}
	value := *s
	value.Type, value.Types, value.Description = s.Types[1], nil, ""
	*s = jsonschema.Schema{Description: s.Description, AnyOf: []*jsonschema.Schema{{Type: "null"}, &value}}
}

// sessionIDSchema is the schema of the argument session_id.
const sessionIDSchema = `{"type":"string","description":"Id or name of the session."}`
