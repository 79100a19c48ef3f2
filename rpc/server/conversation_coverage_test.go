//go:build linux

package server_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/server"
)

// unheard are the constants that no client can make the server send.
var unheard = map[string]bool{
	"CodeInternal": true, // a bug of the server, or more than fits into a message
	"ReasonLost":   true, // the kernel always reports the exit
}

// TestConversationsCoverTheProtocol: every name in the protocol occurs in a conversation.
func TestConversationsCoverTheProtocol(t *testing.T) {
	client, answers := sentTexts(t)
	for _, m := range server.Methods() {
		if m.Name == rpc.MethodDiscover { // its answer is docs/openrpc.json, and compared with it elsewhere
			continue
		}
		contain(t, client, `"method":"`+m.Name+`"`)
		if m.Params == nil {
			continue
		}
		for _, f := range reflect.VisibleFields(m.Params) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			contain(t, client, `"`+name+`":`)
		}
	}
	for _, typ := range rpc.ControlTypes {
		contain(t, client, `"type":"`+typ+`"`)
	}
	for prefix, member := range map[string]string{"Code": "code", "Notify": "method", "Reason": "reason", "Gap": "reason", "Status": "status"} {
		all := constants(t, prefix)
		if len(all) < 2 {
			t.Errorf("%d constants are called %s…", len(all), prefix)
		}
		for name, value := range all {
			if !unheard[name] {
				contain(t, answers, `"`+member+`":`+value)
			}
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[rpc.Output]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		contain(t, answers, `"`+name+`":`)
	}
}

func contain(t *testing.T, all, what string) {
	t.Helper()
	if !strings.Contains(all, what) {
		t.Errorf("no conversation has %s", what)
	}
}

// sentTexts returns all that clients and servers send in the conversations.
func sentTexts(t *testing.T) (client, server string) {
	files, err := filepath.Glob(conversationFiles)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			switch {
			case strings.HasPrefix(f.Name, "client"):
				client += string(f.Data)
			case strings.HasPrefix(f.Name, "server"):
				server += string(f.Data)
			}
		}
	}
	return client, server
}

// constants returns those of package rpc that begin with prefix, as their literals.
func constants(t *testing.T, prefix string) map[string]string {
	files, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
				for _, s := range g.Specs {
					named(s.(*ast.ValueSpec), prefix, all)
				}
			}
		}
	}
	return all
}

func named(s *ast.ValueSpec, prefix string, all map[string]string) {
	for i, n := range s.Names {
		if !strings.HasPrefix(n.Name, prefix) || i >= len(s.Values) {
			continue
		}
		switch v := s.Values[i].(type) {
		case *ast.BasicLit:
			all[n.Name] = v.Value
		case *ast.UnaryExpr:
			all[n.Name] = v.Op.String() + v.X.(*ast.BasicLit).Value
		}
	}
}
