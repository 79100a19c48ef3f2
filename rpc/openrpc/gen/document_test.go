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
	"github.com/runnel-rpc/runnel/rpc/server"
)

// TestDocumentIsUpToDate compares the files with what the generator makes now.
func TestDocumentIsUpToDate(t *testing.T) {
	got := generated(t)
	for _, file := range files {
		want, err := os.ReadFile(filepath.Join("..", file))
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
	text, err := generate(server.Methods())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// reached are all types of which something may be said, with what they are made of.
func reached() map[reflect.Type]bool {
	all := map[reflect.Type]bool{}
	var reach func(reflect.Type)
	reach = func(t reflect.Type) {
		if t == nil || all[t] || t == typeOf[json.RawMessage]() || t == typeOf[rpc.Seconds]() || t == typeOf[rpc.SoftLimit]() || t == typeOf[rpc.Base64Command]() {
			return
		}
		if t == typeOf[rpc.Bytes]() || t == typeOf[rpc.Command]() { // they have forms of their own
			all[t] = true
			return
		}
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			reach(t.Elem())
		case reflect.Struct:
			all[t] = true
			for i := range t.NumField() {
				reach(t.Field(i).Type)
			}
		}
	}
	for _, m := range server.Methods() {
		reach(m.Params)
		for _, r := range m.Results {
			reach(r)
		}
	}
	for _, n := range notifications {
		reach(n.Params)
	}
	return all
}

// TestEveryFieldIsDescribed, and nothing is that is no field.
func TestEveryFieldIsDescribed(t *testing.T) {
	types := reached()
	for typ := range types {
		if typ.Kind() != reflect.Struct || typ == typeOf[rpc.Command]() {
			continue
		}
		for _, m := range membersOf(typ) {
			if m.about.doc == "" {
				t.Errorf("nothing is said of %s.%s", typ.Name(), m.name)
			}
		}
	}
	for typ, said := range described {
		if !types[typ] {
			t.Errorf("%s is described and not used", typ.Name())
			continue
		}
		names := map[string]bool{"": true}
		if typ.Kind() == reflect.Struct && typ != typeOf[rpc.Command]() {
			for _, m := range membersOf(typ) {
				names[m.name] = true
			}
		}
		for name := range said {
			if !names[name] {
				t.Errorf("%s.%s is described and does not exist", typ.Name(), name)
			}
		}
	}
}

// TestComponentsAreDescribed: a shared type has a text of its own.
func TestComponentsAreDescribed(t *testing.T) {
	d, err := newDocument(server.Methods())
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range d.Components.Schemas {
		if s.Description == "" {
			t.Errorf("nothing is said of %s", name)
		}
	}
}

// constants are the values, as Go has them, of the constants in file whose names begin with prefix.
func constants(t *testing.T, file, prefix string) (values []string) {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		if g, ok := n.(*ast.GenDecl); ok {
			return g.Tok == token.CONST
		}
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, prefix) || len(spec.Values) != 1 {
			return true
		}
		var text strings.Builder
		if err := printer.Fprint(&text, token.NewFileSet(), spec.Values[0]); err != nil {
			t.Error(err)
		}
		values = append(values, text.String())
		return true
	})
	slices.Sort(values)
	return values
}

// TestTablesAreWhole: each method, notification and error code that the package declares has its row, and what
// has a row is in the document.
func TestTablesAreWhole(t *testing.T) {
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
	declared := append(constants(t, "../../methods.go", "Method"), constants(t, "../../notifications.go", "Notify")...)
	slices.Sort(declared)
	if diff := gocmp.Diff(declared, names); diff != "" {
		t.Errorf("methods and notifications (-declared +document):\n%s", diff)
	}
	if diff := gocmp.Diff(constants(t, "../../errors.go", "Code"), codes); diff != "" {
		t.Errorf("error codes (-declared +document):\n%s", diff)
	}
}

// TestErrorTable: samples are of the form and have the data that their row tells.
func TestErrorTable(t *testing.T) {
	braces := regexp.MustCompile(`\\\{\w+\\\}`)
	seen := map[int]bool{}
	for _, e := range errorForms {
		if seen[e.Code] || e.Sample.Code != e.Code {
			t.Errorf("%s: the code is there twice, or not the sample's %d", e.Name, e.Sample.Code)
		}
		seen[e.Code] = true
		form := regexp.MustCompile("^" + braces.ReplaceAllString(regexp.QuoteMeta(e.Message), ".+") + "$")
		if !form.MatchString(e.Sample.Message) {
			t.Errorf("%s: %q is not of the form %q", e.Name, e.Sample.Message, e.Message)
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
				t.Errorf("%s: the sample has a %s", e.Name, name)
			}
		}
	}
	for _, m := range server.Methods() {
		for _, code := range m.Errors {
			if !seen[code] {
				t.Errorf("%s: no error has the code %d", m.Name, code)
			}
		}
	}
}

// TestExamplesDecode: what examples send is taken, and what they answer has the members of a result.
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
				t.Errorf("%s, %s: a result, or none", m.Name, e.Name)
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

// decodesInto reports what is in the way of text being a value of type t, all of it.
func decodesInto(t reflect.Type, text string) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(reflect.New(t).Interface())
}
