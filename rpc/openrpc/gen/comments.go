package main

import (
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// docs are doc comments of a package: those of types by name, those of fields by "Type.Field".
type docs map[string]string

// parseDocs reads the doc comments of the Go files in a directory.
func parseDocs(dir string) (docs, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	d := docs{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, decl := range file.Decls {
			if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.TYPE {
				d.addTypes(g)
			}
		}
	}
	if len(d) == 0 {
		return nil, fmt.Errorf("no types in %s", dir)
	}
	return d, nil
}

func (d docs) addTypes(g *ast.GenDecl) {
	for _, spec := range g.Specs {
		t := spec.(*ast.TypeSpec)
		text := t.Doc.Text()
		if text == "" {
			text = g.Doc.Text()
		}
		d[t.Name.Name] = firstParagraph(text)
		if s, ok := t.Type.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				for _, name := range f.Names {
					d[t.Name.Name+"."+name.Name] = firstParagraph(f.Doc.Text())
				}
			}
		}
	}
}

// firstParagraph returns the first paragraph of a doc comment on one line; what follows is for Go
// only.
func firstParagraph(text string) string {
	var p comment.Parser
	var printer comment.Printer
	printer.TextWidth = -1
	first, _, _ := strings.Cut(string(printer.Text(p.Parse(text))), "\n\n")
	return strings.TrimSpace(first)
}

// ofType returns the text of a named type.
func (d docs) ofType(t reflect.Type) string { return d[t.Name()] }

// ofField returns the text of a field of a struct type.
func (d docs) ofField(t reflect.Type, f reflect.StructField) string { return d[t.Name()+"."+f.Name] }
