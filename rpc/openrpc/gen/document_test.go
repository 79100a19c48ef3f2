package main

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/openrpc"
	"github.com/runnel-rpc/runnel/rpc/server"
)

// dir is the directory of package rpc.
const dir = "../.."

// TestDocumentIsUpToDate compares the files with what the generator makes now.
func TestDocumentIsUpToDate(t *testing.T) {
	got := generated(t)
	for _, file := range files {
		want, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not up to date, run go generate ./rpc/openrpc (-file +generated):\n%s", file, diff)
		}
	}
	if !bytes.Equal(got, generated(t)) {
		t.Error("a second run generates another document")
	}
}

func generated(t *testing.T) []byte {
	t.Helper()
	text, err := generate(server.Methods(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestEverythingIsDescribed: components, params and members have a description.
func TestEverythingIsDescribed(t *testing.T) {
	d, err := newDocument(server.Methods(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range d.Methods {
		for _, p := range m.Params {
			if p.Description == "" {
				t.Errorf("param %s of %s has no description", p.Name, m.Name)
			}
		}
	}
	for name, s := range d.Components.Schemas {
		if s.Description == "" {
			t.Errorf("component %s has no description", name)
		}
		for _, p := range s.Properties {
			if p.schema.Description == "" && p.name != "kind" {
				t.Errorf("member %s of component %s has no description", p.name, name)
			}
		}
	}
}

// TestTitles: the title of a component is its name, the schemas of params and results have a title
// or refer to a component, and different schemas have different titles. Generators of clients use
// the titles as names of types.
func TestTitles(t *testing.T) {
	d, err := newDocument(server.Methods(), dir)
	if err != nil {
		t.Fatal(err)
	}
	titled := map[string]*schema{}
	for name, s := range d.Components.Schemas {
		if s.Title != name {
			t.Errorf("component %s has the title %q", name, s.Title)
		}
		titled[s.Title] = s
	}
	for _, m := range d.Methods {
		descriptors := m.Params
		if m.Result != nil {
			descriptors = append(descriptors, *m.Result)
		}
		for _, p := range descriptors {
			if p.Schema.Ref != "" {
				continue
			}
			if p.Schema.Title == "" {
				t.Errorf("%s of %s has no title", p.Name, m.Name)
			}
			if other := titled[p.Schema.Title]; other != nil && !reflect.DeepEqual(other, p.Schema) {
				t.Errorf("%s of %s: another schema has the title %s", p.Name, m.Name, p.Schema.Title)
			}
			titled[p.Schema.Title] = p.Schema
		}
	}
}

// TestDocumentDecodes: package rpc has a field for each member of the document.
func TestDocumentDecodes(t *testing.T) {
	if err := decodesInto(typeOf[rpc.OpenRPC](), openrpc.Document()); err != nil {
		t.Error(err)
	}
}

// TestEnumsListTheConstants: the enum tag of a field has the values of the constants that begin
// with the prefix.
func TestEnumsListTheConstants(t *testing.T) {
	for _, test := range []struct {
		params any
		field  string
		prefix []string
	}{
		{rpc.ExecuteParams{}, "Stdin", []string{"Stdin"}},
		{rpc.ExecuteParams{}, "Mode", []string{"Mode"}},
		{rpc.ExecuteParams{}, "Overflow", []string{"Overflow"}},
		{rpc.ExecuteParams{}, "Encoding", []string{"Encoding"}},
		{rpc.ExecuteParams{}, "SlowClient", []string{"SlowClient"}},
		{rpc.ExecuteParams{}, "OnDisconnect", []string{"OnDisconnect"}},
		{rpc.ExecuteParams{}, "OnLeaderExit", []string{"OnLeaderExit"}},
		{rpc.AttachParams{}, "SlowClient", []string{"SlowClient"}},
		{rpc.ControlParams{}, "Type", []string{"Control"}},
		{rpc.ControlParams{}, "To", []string{"To"}},
		{rpc.Completion{}, "Reason", []string{"Reason"}},
		{rpc.Completion{}, "Status", []string{"StatusC", "StatusF"}},
		{rpc.StillRunning{}, "Status", []string{"StatusRunning", "StatusQueued"}},
		{rpc.Gap{}, "Reason", []string{"Gap"}},
		{rpc.Output{}, "Type", []string{"Stream"}},
	} {
		typ := reflect.TypeOf(test.params)
		f, _ := typ.FieldByName(test.field)
		values := f.Tag.Get("enum") + f.Tag.Get("values")
		var got, want []string
		for _, v := range strings.Split(values, ",") {
			got = append(got, strconv.Quote(v))
		}
		for _, prefix := range test.prefix {
			want = append(want, constants(t, prefix)...)
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%s.%s (-constants +tag):\n%s", typ.Name(), test.field, diff)
		}
	}
}

// constants returns the values, as Go has them, of the constants of package rpc whose names begin
// with prefix and an upper-case letter, or are prefix.
func constants(t *testing.T, prefix string) (values []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("^" + prefix + "([A-Z]\\w*|[a-z]*)$")
	for _, name := range names {
		tree, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			if g, ok := n.(*ast.GenDecl); ok {
				return g.Tok == token.CONST
			}
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !named.MatchString(spec.Names[0].Name) {
				return true
			}
			var text strings.Builder
			if err := printer.Fprint(&text, token.NewFileSet(), spec.Values[0]); err != nil {
				t.Error(err)
			}
			values = append(values, text.String())
			return true
		})
	}
	slices.Sort(values)
	return values
}

// TestTablesAreComplete: the document has exactly the methods, notifications and error codes that
// package rpc declares.
func TestTablesAreComplete(t *testing.T) {
	var d struct {
		Methods    []struct{ Name string }
		Components struct{ Errors map[string]struct{ Code int } }
	}
	if err := json.Unmarshal(generated(t), &d); err != nil {
		t.Fatal(err)
	}
	var names, codes []string
	for _, m := range d.Methods {
		names = append(names, strconv.Quote(m.Name))
	}
	for _, e := range d.Components.Errors {
		codes = append(codes, strconv.Itoa(e.Code))
	}
	slices.Sort(names)
	slices.Sort(codes)
	declared := append(constants(t, "Method"), constants(t, "Notify")...)
	slices.Sort(declared)
	if diff := gocmp.Diff(declared, names); diff != "" {
		t.Errorf("methods and notifications (-declared +document):\n%s", diff)
	}
	if diff := gocmp.Diff(constants(t, "Code"), codes); diff != "" {
		t.Errorf("error codes (-declared +document):\n%s", diff)
	}
}

// TestErrorTable: the sample of a row has the message and the data that the row describes.
func TestErrorTable(t *testing.T) {
	placeholder := regexp.MustCompile(`\\\{\w+\\\}`)
	seen := map[int]bool{}
	for _, e := range errorForms {
		if seen[e.Code] || e.Sample.Code != e.Code {
			t.Errorf("%s: the code is a duplicate, or differs from the sample's %d", e.Name, e.Sample.Code)
		}
		seen[e.Code] = true
		form := regexp.MustCompile("^" + placeholder.ReplaceAllString(regexp.QuoteMeta(e.Message), ".+") + "$")
		if !form.MatchString(e.Sample.Message) {
			t.Errorf("%s: %q does not match %q", e.Name, e.Sample.Message, e.Message)
		}
		data := e.Sample.Data.(rpc.Data)
		if !slices.Contains(e.Kinds, data["kind"].(string)) {
			t.Errorf("%s: kind %q", e.Name, data["kind"])
		}
		known := []string{"kind"}
		for _, d := range e.Data {
			known = append(known, d.Name)
			if _, ok := data[d.Name]; !ok && !d.Optional {
				t.Errorf("%s: the sample has no %s", e.Name, d.Name)
			}
		}
		for name := range maps.Keys(data) {
			if !slices.Contains(known, name) {
				t.Errorf("%s: the sample has %s, which the row does not describe", e.Name, name)
			}
		}
	}
	for _, m := range server.Methods() {
		for _, code := range m.Errors {
			if !seen[code] {
				t.Errorf("%s: there is no error with code %d", m.Name, code)
			}
		}
	}
}

// TestExamplesDecode: the params of examples are valid, and their results have the members of a
// result type.
func TestExamplesDecode(t *testing.T) {
	for _, m := range server.Methods() {
		if m.Params != nil && m.Params.NumField() > 0 && len(examples[m.Name]) == 0 {
			t.Errorf("%s has no example", m.Name)
		}
		for _, e := range examples[m.Name] {
			if err := rpc.DecodeParams([]byte(e.Params), reflect.New(m.Params).Interface(), false); err != nil {
				t.Errorf("%s, %s: %v", m.Name, e.Name, err)
			}
			if e.Result == "" != m.Notification {
				t.Errorf("%s, %s: a notification has a result, or a request has none", m.Name, e.Name)
			}
			if len(m.Results) == 0 {
				continue
			}
			fits := func(r reflect.Type) bool { return decodesInto(r, e.Result) == nil }
			if !slices.ContainsFunc(m.Results, fits) {
				t.Errorf("%s, %s: %v", m.Name, e.Name, decodesInto(m.Results[0], e.Result))
			}
		}
	}
	for _, n := range notifications {
		if err := decodesInto(n.Params, n.Example); err != nil {
			t.Errorf("%s: %v", n.Name, err)
		}
	}
}

// decodesInto returns an error if text is not a value of type t, or has unknown members.
func decodesInto(t reflect.Type, text string) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(reflect.New(t).Interface())
}
