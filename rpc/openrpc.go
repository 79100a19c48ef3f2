package rpc

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
)

// OpenRPC is an OpenRPC document, version 1.3: the protocol, described for programs.
type OpenRPC struct {
	OpenRPC    string             `json:"openrpc"`
	Info       openrpcInfo        `json:"info"`
	Servers    []openrpcServer    `json:"servers"`
	Methods    []openrpcMethod    `json:"methods"`
	Components *openrpcComponents `json:"components"`
}

type openrpcInfo struct {
	Title       string         `json:"title"`
	Version     string         `json:"version"`
	Description string         `json:"description"`
	License     openrpcLicense `json:"license"`
}

type openrpcLicense struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

type openrpcServer struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// The directions of a method. OpenRPC itself knows calls to the server only.
const (
	toServer = "client-to-server"
	toClient = "server-to-client"
)

type openrpcMethod struct {
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

type openrpcComponents struct {
	Schemas map[string]*schema       `json:"schemas"`
	Errors  map[string]*openrpcError `json:"errors"`
}

// openrpcError has a sample of the data; its schema is among the components, by the name with Data behind.
type openrpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data"`
}

const protocolDescription = "JSON-RPC 2.0 over WebSocket: one text message holds one message or one batch. " +
	"Params are one object of named params, or an array of one such object. A param that is null counts as left out, unless null means something below; " +
	"an unknown one is an error. Results and notifications may gain members. Times are seconds, sizes are bytes. " +
	"A method with `x-direction` server-to-client is a notification that the server sends; one with `x-notification` is not answered. " +
	"Any request may also be answered with ParseError, InvalidRequest or MethodNotFound. The data of an error is described by the schema of its name with Data behind; " +
	"its message holds values where the form here has braces. " +
	"The sessions that the examples name are made by the examples of execute."

// openrpcSchema tells no more than the members of a document: the OpenRPC specification tells what is in them.
func openrpcSchema() *schema {
	return &schema{
		Type:        "object",
		Description: "An OpenRPC document.",
		Required:    []string{"openrpc", "info", "methods"},
		Properties: properties{
			{"openrpc", &schema{Type: "string"}},
			{"info", &schema{Type: "object"}},
			{"servers", &schema{Type: "array"}},
			{"methods", &schema{Type: "array"}},
			{"components", &schema{Type: "object"}},
		},
	}
}

// Document is the OpenRPC document of the protocol: the text that rpc.discover answers, on many lines.
func Document() []byte {
	line, err := plainJSON(newOpenRPC())
	var b bytes.Buffer
	if err == nil {
		err = json.Indent(&b, line, "", "  ")
	}
	if err != nil {
		panic(err) // an example is no JSON
	}
	return append(b.Bytes(), '\n')
}

func newOpenRPC() *OpenRPC {
	s := schemas{map[string]*schema{}}
	d := &OpenRPC{
		OpenRPC: "1.3.2",
		Info: openrpcInfo{
			Title:       "Runnel",
			Version:     strconv.Itoa(Version), // the protocol's: connected tells the server's
			Description: protocolDescription,
			License:     openrpcLicense{"Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0"},
		},
		Servers:    []openrpcServer{{"default", "ws://127.0.0.1:8003/ws"}},
		Components: &openrpcComponents{Schemas: s.named, Errors: map[string]*openrpcError{}},
	}
	for i := range Errors {
		e := &Errors[i]
		d.Components.Errors[e.Name] = &openrpcError{e.Code, e.Message, e.Sample.Data}
		s.named[e.Name+"Data"] = s.errorData(e)
	}
	for i := range Methods {
		d.Methods = append(d.Methods, s.method(&Methods[i]))
	}
	for i := range Notifications {
		d.Methods = append(d.Methods, s.notification(&Notifications[i]))
	}
	return d
}

func (s schemas) method(m *Method) openrpcMethod {
	o := openrpcMethod{
		Name:           m.Name,
		Summary:        m.Summary,
		Description:    m.Description,
		Direction:      toServer,
		Notification:   m.Notification,
		ParamStructure: "by-name",
		Params:         s.params(m.Params, true),
	}
	for _, e := range m.Examples {
		o.Examples = append(o.Examples, newPairing(e))
	}
	if !m.Notification {
		o.Result = &contentDescriptor{Name: "result", Required: true, Schema: s.result(m.Results)}
		o.Errors = errorsOf(m)
	}
	return o
}

func (s schemas) notification(n *Notification) openrpcMethod {
	return openrpcMethod{
		Name:           n.Name,
		Summary:        n.Summary,
		Direction:      toClient,
		Notification:   true,
		ParamStructure: "by-name",
		Params:         s.params(n.Params, false),
		Examples:       []examplePairing{newPairing(Example{Name: n.Name, Params: n.Example})},
	}
}

// params has a descriptor for each field of t.
func (s schemas) params(t reflect.Type, input bool) []contentDescriptor {
	list := []contentDescriptor{}
	if t == nil {
		return list
	}
	for _, m := range membersOf(t) {
		list = append(list, contentDescriptor{m.name, m.about.doc, m.required(input), s.member(m, input)})
	}
	return list
}

func (s schemas) result(types []reflect.Type) *schema {
	var all []*schema
	for _, t := range types {
		all = append(all, s.of(t, false))
	}
	switch len(all) {
	case 0:
		return &schema{Type: "null"}
	case 1:
		return all[0]
	}
	return &schema{OneOf: all}
}

// errorsOf refers to the errors of a method, with those that any request may get once its method is found.
func errorsOf(m *Method) (list []*schema) {
	codes := append([]int{CodeInternal, CodeOverloaded}, m.Errors...)
	if m.Params != nil {
		codes = append(codes, CodeInvalidParams)
	}
	for i := range Errors {
		if e := &Errors[i]; slices.Contains(codes, e.Code) {
			list = append(list, &schema{Ref: "#/components/errors/" + e.Name})
		}
	}
	return list
}

func (s schemas) errorData(e *ErrorForm) *schema {
	o := &schema{
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

// newPairing takes an example apart into one value a param.
func newPairing(e Example) examplePairing {
	pair := examplePairing{Name: e.Name, Params: []exampleValue{}}
	scan := scanner{text: []byte(e.Params)}
	err := scan.members(func(name []byte) error {
		value, err := scan.value()
		pair.Params = append(pair.Params, exampleValue{stringValue(name), value})
		return err
	})
	if err != nil {
		panic("rpc: example " + e.Name + ": " + err.Error())
	}
	if e.Result != "" {
		pair.Result = &exampleValue{"result", json.RawMessage(e.Result)}
	}
	return pair
}
