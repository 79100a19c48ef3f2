package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/wire"
)

// schema is a JSON Schema, draft 07, with the keywords that the protocol needs.
type schema struct {
	Ref         string          `json:"$ref,omitempty"`
	Title       string          `json:"title,omitempty"`
	Description string          `json:"description,omitempty"`
	Type        any             `json:"type,omitempty"` // a string, or several
	Format      string          `json:"format,omitempty"`
	Enum        []string        `json:"enum,omitempty"`
	Default     any             `json:"default,omitempty"`
	Minimum     json.RawMessage `json:"minimum,omitempty"`
	Maximum     json.RawMessage `json:"maximum,omitempty"`
	MinItems    int             `json:"minItems,omitempty"`
	MinLength   int             `json:"minLength,omitempty"`
	Items       *schema         `json:"items,omitempty"`
	OneOf       []*schema       `json:"oneOf,omitempty"`
	AllOf       []*schema       `json:"allOf,omitempty"`
	Required    []string        `json:"required,omitempty"`
	Properties  properties      `json:"properties,omitempty"`
	Additional  any             `json:"additionalProperties,omitempty"` // false, or a schema
}

// properties are properties in the order of the fields.
type properties []property

type property struct {
	name   string
	schema *schema
}

// MarshalJSON writes an object.
func (p properties) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, property := range p {
		if i > 0 {
			b = append(b, ',')
		}
		value, err := plainJSON(property.schema)
		if err != nil {
			return nil, err
		}
		b = append(append(wire.AppendQuote(b, property.name), ':'), value...)
	}
	return append(b, '}'), nil
}

// plainJSON encodes v on one line, without escaping HTML.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// commandSchema returns the schema of the forms that rpc.Command accepts; bytes is that of
// rpc.Bytes.
func commandSchema(bytes *schema) *schema {
	shell, encoded := &schema{Type: "string", MinLength: 1, Description: "run by the shell"}, base64Schema()
	encoded.Description = "run by the shell, bytes that are not UTF-8"
	return &schema{OneOf: []*schema{shell, encoded, argvSchema(bytes)}}
}

// textCommandSchema returns the schema of a command whose strings are text.
func textCommandSchema() *schema {
	return &schema{OneOf: []*schema{{Type: "string", Description: "run by the shell"}, argvSchema(&schema{Type: "string"})}}
}

func argvSchema(item *schema) *schema {
	return &schema{Type: "array", MinItems: 1, Items: item, Description: "run directly: the program and its arguments"}
}

// bytesSchema returns the schema of the two forms of rpc.Bytes.
func bytesSchema() *schema { return &schema{OneOf: []*schema{{Type: "string"}, base64Schema()}} }

func base64Schema() *schema {
	return &schema{
		Type:       "object",
		Required:   []string{"base64"},
		Properties: properties{{"base64", &schema{Type: "string"}}},
		Additional: false,
	}
}

// networkSchema returns the schema of the forms of rpc.SandboxNetwork.
func networkSchema() *schema {
	return &schema{OneOf: []*schema{
		{Type: "string", Enum: []string{rpc.NetworkFull, rpc.NetworkNone}},
		{
			Type:       "object",
			Required:   []string{"allow"},
			Properties: properties{{"allow", &schema{Type: "array", Items: &schema{Type: "string"}, Description: "HOST:PORT; HOST may be a name, *. and a name, an IPv4 address or an IPv6 address in brackets, PORT may be *"}}},
			Additional: false,
		},
	}}
}

// secondsSchema returns the schema of rpc.Seconds.
func secondsSchema() *schema {
	return &schema{
		Type:    []string{"number", "null"},
		Minimum: json.RawMessage("0"),
		Maximum: fmt.Appendf(nil, "%.0f", float64(rpc.MaxSeconds)),
	}
}

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// schemas creates the schemas of Go types. Those of named structs become components, to which it
// refers.
type schemas struct {
	named map[string]*schema
	docs  docs
}

// of returns the schema of a type, or a reference to it. input is set for what clients send:
// unknown members are errors, and a tag says which members are required. What the server sends
// always has the members that encoding/json does not leave out.
func (s schemas) of(t reflect.Type, input bool) *schema {
	switch k := t.Kind(); {
	case t == typeOf[rpc.Bytes]():
		return s.shared(t, bytesSchema)
	case t == typeOf[rpc.Env]():
		value := &schema{OneOf: []*schema{s.of(typeOf[rpc.Bytes](), input), {Type: "null"}}}
		return &schema{Type: "object", Additional: value}
	case t == typeOf[rpc.Command]() && input:
		return s.shared(t, func() *schema { return commandSchema(s.of(typeOf[rpc.Bytes](), input)) })
	case t == typeOf[rpc.Command](), t == typeOf[rpc.Base64Command]():
		return textCommandSchema()
	case t == typeOf[rpc.Sandbox]():
		return s.shared(t, func() *schema {
			return &schema{OneOf: []*schema{{Type: "string", MinLength: 1, Description: "the name of a profile"}, s.object(t, input)}}
		})
	case t == typeOf[rpc.SandboxNetwork]():
		return s.shared(t, networkSchema)
	case t == typeOf[rpc.Seconds]():
		return secondsSchema()
	case t == typeOf[rpc.SoftLimit]():
		return &schema{Type: []string{"integer", "null"}, Minimum: json.RawMessage("0")}
	case t == typeOf[json.RawMessage]():
		return &schema{} // a tag of the field has its types
	case k == reflect.Pointer:
		return s.of(t.Elem(), input)
	case k == reflect.Struct:
		return s.shared(t, func() *schema { return s.object(t, input) })
	case k == reflect.Slice:
		return &schema{Type: "array", Items: s.of(t.Elem(), input)}
	case k == reflect.Map && t.Elem().Kind() == reflect.Pointer:
		return &schema{Type: "object", Additional: orNull(s.of(t.Elem(), input))}
	case k == reflect.Map:
		return &schema{Type: "object", Additional: s.of(t.Elem(), input)}
	}
	return &schema{Type: scalar(t)}
}

// scalar returns the JSON type of a string, boolean or number type.
func scalar(t reflect.Type) string {
	switch k := t.Kind(); {
	case k == reflect.String:
		return "string"
	case k == reflect.Bool:
		return "boolean"
	case reflect.Int <= k && k <= reflect.Int64:
		return "integer"
	case k == reflect.Float32 || k == reflect.Float64:
		return "number"
	}
	panic(fmt.Sprintf("no schema for %s", t))
}

// shared returns a reference to the component of a named type, which it creates on the first call.
func (s schemas) shared(t reflect.Type, definition func() *schema) *schema {
	if s.named[t.Name()] == nil {
		made := definition()
		made.Title, made.Description = t.Name(), s.docs.ofType(t)
		s.named[t.Name()] = made
	}
	return &schema{Ref: "#/components/schemas/" + t.Name()}
}

// object returns the schema of a struct.
func (s schemas) object(t reflect.Type, input bool) *schema {
	o := &schema{Type: "object"}
	if input {
		o.Additional = false
	}
	for _, m := range s.membersOf(t) {
		o.Properties = append(o.Properties, property{m.name, s.member(m, input).withText(m.doc)})
		if m.required(input) {
			o.Required = append(o.Required, m.name)
		}
	}
	return o
}

// member is a field of a struct, as a member of a JSON object.
type member struct {
	reflect.StructField
	name     string
	optional bool // encoding/json leaves it out if it is empty
	doc      string
}

// membersOf returns the members of a struct, including those of embedded structs.
func (s schemas) membersOf(t reflect.Type) (list []member) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			list = append(list, s.membersOf(f.Type)...)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		list = append(list, member{f, name, options != "", s.docs.ofField(t, f)})
	}
	return list
}

// required reports whether the member is always present.
func (m member) required(input bool) bool {
	if input {
		return wire.RulesOf(m.StructField).Required
	}
	return !m.optional
}

// formats are the formats of strings by the name of the member.
var formats = map[string]string{"session_id": "uuid", "connection_id": "uuid", "started_at": "date-time"}

// withText adds a description.
func (s *schema) withText(doc string) *schema {
	if s.Ref != "" { // keywords next to $ref are ignored
		s = &schema{AllOf: []*schema{s}}
	}
	s.Description = doc
	return s
}

// member returns the schema of a field with its rules.
func (s schemas) member(m member, input bool) *schema {
	made := s.of(m.Type, input)
	if made.Ref != "" {
		return made
	}
	if text, ok := m.Tag.Lookup("default"); ok {
		made.Default = defaultValue(m.Type, text)
	}
	if made.Type == "string" {
		made.Format = formats[m.name]
	}
	if text, ok := m.Tag.Lookup("type"); ok {
		made.restrict(strings.Split(text, ","))
	}
	if text, ok := m.Tag.Lookup("values"); ok {
		made.Enum = strings.Split(text, ",")
	}
	r := wire.RulesOf(m.StructField)
	if r.Enum != nil {
		made.Enum = r.Enum
	}
	if r.NonEmpty {
		made.MinLength = 1
	}
	if r.Min != "" {
		made.Minimum = json.RawMessage(r.Min)
	}
	if r.Max != "" {
		made.Maximum = json.RawMessage(r.Max)
	}
	if m.Type.Kind() == reflect.Pointer && !m.optional {
		return orNull(made)
	}
	return made
}

// restrict sets the types of raw JSON, or of the items of an array of raw JSON.
func (s *schema) restrict(types []string) {
	if s.Items != nil {
		s.Items.restrict(types)
		return
	}
	s.Type = types
	if len(types) == 1 {
		s.Type = types[0]
	}
}

// defaultValue returns the value of a default tag: the text of a string, otherwise JSON.
func defaultValue(t reflect.Type, text string) any {
	if t.Kind() == reflect.String {
		return text
	}
	return json.RawMessage(text)
}

// orNull allows null in addition to a scalar.
func orNull(s *schema) *schema {
	name, ok := s.Type.(string)
	if !ok || s.Enum != nil {
		panic("only a scalar without enum may be null")
	}
	s.Type = []string{name, "null"}
	return s
}
