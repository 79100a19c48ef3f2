package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/runnel-rpc/runnel/rpc"
)

// document is an OpenRPC document, version 1.3.
type document struct {
	OpenRPC    string      `json:"openrpc"`
	Info       info        `json:"info"`
	Servers    []endpoint  `json:"servers"`
	Methods    []method    `json:"methods"`
	Components *components `json:"components"`
}

type info struct {
	Title       string  `json:"title"`
	Version     string  `json:"version"`
	Description string  `json:"description"`
	License     license `json:"license"`
}

type license struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

type endpoint struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// The directions of a method. OpenRPC itself has only calls to the server.
const (
	toServer = "client-to-server"
	toClient = "server-to-client"
)

type method struct {
	Name           string              `json:"name"`
	Summary        string              `json:"summary"`
	Description    string              `json:"description,omitempty"`
	Direction      string              `json:"x-direction"`
	Notification   bool                `json:"x-notification,omitempty"`
	ParamStructure string              `json:"paramStructure"`
	Params         []contentDescriptor `json:"params"`
	Result         *contentDescriptor  `json:"result,omitempty"`
	Errors         []*schema           `json:"errors,omitempty"` // references
	Examples       []examplePairing    `json:"examples,omitempty"`
}

type contentDescriptor struct {
	Name        string  `json:"name"`
	Description string  `json:"description,omitempty"`
	Required    bool    `json:"required,omitempty"`
	Schema      *schema `json:"schema"`
}

type examplePairing struct {
	Name   string         `json:"name"`
	Params []exampleValue `json:"params"`
	Result *exampleValue  `json:"result,omitempty"`
}

type exampleValue struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
}

type components struct {
	Schemas map[string]*schema         `json:"schemas"`
	Errors  map[string]*errorComponent `json:"errors"`
}

// errorComponent has a sample of the data. The schema of the data is a component named like the
// error, followed by Data.
type errorComponent struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data"`
}

const protocolDescription = "JSON-RPC 2.0 over WebSocket: a text message is a message or a batch. " +
	"Params are an object, or an array of one object. A param that is null counts as left out, unless its description gives null a meaning; " +
	"an unknown param is an error. Results and notifications may gain members. Times are in seconds, sizes in bytes. " +
	"A method with `x-direction` server-to-client is a notification that the server sends. A method with `x-notification` has no reply. " +
	"The reply to any request may also be ParseError, InvalidRequest or MethodNotFound. " +
	"The schema of the data of an error has the name of the error followed by Data. Its message has values in place of the braces. " +
	"The sessions in the examples are created by the examples of execute."

// generate returns the OpenRPC document of the methods, indented. dir is the directory of package
// rpc.
func generate(methods []rpc.Method, dir string) ([]byte, error) {
	d, err := newDocument(methods, dir)
	if err != nil {
		return nil, err
	}
	line, err := plainJSON(d)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, line, "", "  "); err != nil {
		return nil, err
	}
	return append(b.Bytes(), '\n'), nil
}

// newDocument returns the document of the methods, notifications and errors.
func newDocument(methods []rpc.Method, dir string) (*document, error) {
	docs, err := parseDocs(dir)
	if err != nil {
		return nil, err
	}
	s := schemas{map[string]*schema{}, docs}
	d := &document{
		OpenRPC: "1.3.2",
		Info: info{
			Title:       "Runnel",
			Version:     strconv.Itoa(rpc.Version), // of the protocol; connected has the server's
			Description: protocolDescription,
			License:     license{"Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0"},
		},
		Servers:    []endpoint{{"default", "ws://127.0.0.1:8003/ws"}},
		Components: &components{Schemas: s.named, Errors: map[string]*errorComponent{}},
	}
	for i := range errorForms {
		e := &errorForms[i]
		d.Components.Errors[e.Name] = &errorComponent{e.Code, e.Message, e.Sample.Data}
		s.named[e.Name+"Data"] = s.errorData(e)
	}
	for i := range methods {
		m, err := s.method(&methods[i])
		if err != nil {
			return nil, err
		}
		d.Methods = append(d.Methods, m)
	}
	for i := range notifications {
		m, err := s.notification(&notifications[i])
		if err != nil {
			return nil, err
		}
		d.Methods = append(d.Methods, m)
	}
	return d, nil
}

func (s schemas) method(m *rpc.Method) (method, error) {
	o := method{
		Name:           m.Name,
		Summary:        m.Summary,
		Description:    m.Description,
		Direction:      toServer,
		Notification:   m.Notification,
		ParamStructure: "by-name",
		Params:         s.params(m.Params, true),
	}
	for _, e := range examples[m.Name] {
		pair, err := newPairing(e)
		if err != nil {
			return o, fmt.Errorf("%s, example %q: %w", m.Name, e.Name, err)
		}
		o.Examples = append(o.Examples, pair)
	}
	if !m.Notification {
		o.Result = &contentDescriptor{Name: "result", Required: true, Schema: s.result(m.Results)}
		o.Errors = errorsOf(m)
	}
	return o, nil
}

func (s schemas) notification(n *notification) (method, error) {
	pair, err := newPairing(example{Name: n.Name, Params: n.Example})
	if err != nil {
		return method{}, fmt.Errorf("the example of %s: %w", n.Name, err)
	}
	return method{
		Name:           n.Name,
		Summary:        n.Summary,
		Direction:      toClient,
		Notification:   true,
		ParamStructure: "by-name",
		Params:         s.params(n.Params, false),
		Examples:       []examplePairing{pair},
	}, nil
}

// params returns a descriptor for each field of t. The title of an inline schema is the names of t
// and the field, so that titles are unique.
func (s schemas) params(t reflect.Type, input bool) []contentDescriptor {
	list := []contentDescriptor{}
	if t == nil {
		return list
	}
	for _, m := range s.membersOf(t) {
		made := s.member(m, input)
		if made.Ref == "" {
			made.Title = t.Name() + m.Name
		}
		list = append(list, contentDescriptor{m.name, m.doc, m.required(input), made})
	}
	return list
}

// result returns the schema of a result that has one of the types.
func (s schemas) result(types []reflect.Type) *schema {
	var all []*schema
	var names []string
	for _, t := range types {
		all = append(all, s.of(t, false))
		names = append(names, t.Name())
	}
	switch len(all) {
	case 0:
		return &schema{Title: "Null", Type: "null"}
	case 1:
		return all[0]
	}
	return &schema{Title: strings.Join(names, "Or"), OneOf: all}
}

// errorsOf returns references to the errors of a method, including those that any request of a
// known method may get.
func errorsOf(m *rpc.Method) (list []*schema) {
	codes := append([]int{rpc.CodeInternal, rpc.CodeOverloaded}, m.Errors...)
	if m.Params != nil {
		codes = append(codes, rpc.CodeInvalidParams)
	}
	for i := range errorForms {
		if e := &errorForms[i]; slices.Contains(codes, e.Code) {
			list = append(list, &schema{Ref: "#/components/errors/" + e.Name})
		}
	}
	return list
}

// errorData returns the schema of the data of an error.
func (s schemas) errorData(e *errorForm) *schema {
	o := &schema{
		Title:       e.Name + "Data",
		Type:        "object",
		Description: e.Summary,
		Properties:  properties{{"kind", &schema{Type: "string", Enum: e.Kinds}}},
		Required:    []string{"kind"},
	}
	for _, d := range e.Data {
		member := s.of(d.Type, false)
		if d.Type.Kind() == reflect.Pointer {
			member = orNull(member)
		}
		o.Properties = append(o.Properties, property{d.Name, member.withText(d.Summary)})
		if !d.Optional {
			o.Required = append(o.Required, d.Name)
		}
	}
	return o
}

// newPairing returns an example with one value for each param.
func newPairing(e example) (examplePairing, error) {
	pair := examplePairing{Name: e.Name, Params: []exampleValue{}}
	d := json.NewDecoder(strings.NewReader(e.Params))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return pair, fmt.Errorf("its params are not an object: %w", err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return pair, err
		}
		value := exampleValue{Name: name.(string)}
		if err := d.Decode(&value.Value); err != nil {
			return pair, err
		}
		pair.Params = append(pair.Params, value)
	}
	if e.Result != "" {
		pair.Result = &exampleValue{"result", json.RawMessage(e.Result)}
	}
	return pair, nil
}
