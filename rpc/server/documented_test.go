//go:build linux

package server_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/openrpc"
)

// contract is the part of the OpenRPC document that describes the messages of a server.
type contract struct {
	Methods []struct {
		Name   string
		Params []struct {
			Name     string
			Required bool
			Schema   *jsonSchema
		}
		Result *struct{ Schema *jsonSchema }
		Errors []*jsonSchema // references
	}
	Components struct {
		Errors  map[string]struct{ Code int }
		Schemas map[string]*jsonSchema
	}
}

// jsonSchema is the part of JSON Schema that the document uses.
type jsonSchema struct {
	Ref        string `json:"$ref"`
	Type       any
	Enum       []any
	Required   []string
	Properties map[string]*jsonSchema
	Additional json.RawMessage `json:"additionalProperties"`
	Items      *jsonSchema
	OneOf      []*jsonSchema
	AllOf      []*jsonSchema
}

var theContract = sync.OnceValue(func() *contract {
	var c contract
	if err := json.Unmarshal([]byte(openrpc.Document()), &c); err != nil {
		panic(err)
	}
	return &c
})

// asDocumented checks each reply of these tests.
func (p *peer) asDocumented(method string, answer *message) {
	p.t.Helper()
	var err error
	c := theContract()
	for i := range c.Methods {
		switch m := &c.Methods[i]; {
		case m.Name != method || m.Result == nil:
		case answer.Error != nil:
			err = c.checkError(m.Errors, answer.Error)
		default:
			err = c.fits(m.Result.Schema, answer.Result)
		}
	}
	if err != nil {
		p.t.Errorf("%s does not document this: %v: %.600s", method, err, answer.text)
	}
}

// notifiedAsDocumented checks a notification. Only some of the output is checked, since there is
// much of it.
func (p *peer) notifiedAsDocumented(n *message) {
	p.t.Helper()
	c := theContract()
	for i := range c.Methods {
		m := &c.Methods[i]
		if m.Name != n.Method || n.Method == rpc.NotifyOutput && len(n.text) > 1000 {
			continue
		}
		params := &jsonSchema{Properties: map[string]*jsonSchema{}}
		for _, d := range m.Params {
			params.Properties[d.Name] = d.Schema
			if d.Required {
				params.Required = append(params.Required, d.Name)
			}
		}
		if err := c.fits(params, n.Params); err != nil {
			p.t.Errorf("%v: %.600s", err, n.text)
		}
		return
	}
	if !strings.HasPrefix(n.text, outputHead) {
		p.t.Errorf("no such notification: %.600s", n.text)
	}
}

// checkError returns an error if e is not one of the documented errors, which are references to
// components.
func (c *contract) checkError(errors []*jsonSchema, e *wireError) error {
	for _, ref := range errors {
		name := ref.Ref[strings.LastIndexByte(ref.Ref, '/')+1:]
		if c.Components.Errors[name].Code == e.Code {
			return c.check(c.Components.Schemas[name+"Data"], e.Data)
		}
	}
	return fmt.Errorf("no error of the method has code %d", e.Code)
}

func (c *contract) fits(s *jsonSchema, raw json.RawMessage) error {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	return c.check(s, v)
}

// check returns why v does not match s. A member that s does not have is an error: clients may
// ignore it, but the document has to describe everything that the server sends.
func (c *contract) check(s *jsonSchema, v any) error {
	if s.Ref != "" {
		return c.check(c.Components.Schemas[s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]], v)
	}
	for _, part := range s.AllOf {
		if err := c.check(part, v); err != nil {
			return err
		}
	}
	matches := func(one *jsonSchema) bool { return c.check(one, v) == nil }
	if s.OneOf != nil && !slices.ContainsFunc(s.OneOf, matches) {
		return fmt.Errorf("%v is none of the forms", v)
	}
	if s.Enum != nil && !slices.Contains(s.Enum, v) {
		return fmt.Errorf("%v is none of %v", v, s.Enum)
	}
	if s.Type != nil && !s.allows(typeName(v)) {
		return fmt.Errorf("%v is no %v", v, s.Type)
	}
	switch v := v.(type) {
	case []any:
		return c.checkItems(s, v)
	case object:
		return c.checkMembers(s, v)
	}
	return nil
}

func (c *contract) checkItems(s *jsonSchema, items []any) error {
	if s.Items == nil {
		return nil
	}
	for _, item := range items {
		if err := c.check(s.Items, item); err != nil {
			return err
		}
	}
	return nil
}

func (c *contract) checkMembers(s *jsonSchema, o object) error {
	for _, name := range s.Required {
		if _, ok := o[name]; !ok {
			return fmt.Errorf("%s is missing", name)
		}
	}
	if s.Properties == nil && s.Additional == nil {
		return nil
	}
	var others *jsonSchema
	if s.Additional != nil {
		if err := json.Unmarshal(s.Additional, &others); err != nil {
			return err
		}
	}
	for name, v := range o {
		member := s.Properties[name]
		if member == nil {
			member = others
		}
		if member == nil {
			return fmt.Errorf("%s is not known", name)
		}
		if err := c.check(member, v); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// allows reports whether a value of that type is allowed. An integer is a number too.
func (s *jsonSchema) allows(name string) bool {
	all, several := s.Type.([]any)
	if !several {
		all = []any{s.Type}
	}
	return slices.Contains(all, any(name)) || name == "integer" && slices.Contains(all, any("number"))
}

// typeName returns the JSON Schema type of a value.
func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
		return "number"
	}
	return "object"
}
