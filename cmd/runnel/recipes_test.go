package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/rogpeppe/go-internal/testscript"
)

// recipe is a section of docs/recipes.md.
type recipe struct {
	title         string
	commands      string // of its blocks sh
	expected      string // of its blocks text
	conversations []string
}

// readRecipes returns the sections of docs/recipes.md that have something to run.
func readRecipes(t *testing.T) (all []recipe) {
	text, err := os.ReadFile("../../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	for section := range strings.SplitSeq(string(text), "\n## ") {
		r := recipe{}
		r.title, section, _ = strings.Cut(section, "\n")
		for i, block := range strings.Split(section, "```") {
			if i%2 == 0 {
				continue
			}
			kind, content, _ := strings.Cut(block, "\n")
			switch kind {
			case "sh":
				r.commands += content
			case "text":
				r.expected += content
			case "jsonrpc":
				r.conversations = append(r.conversations, content)
			default:
				t.Errorf("%s: a block of kind %q", r.title, kind)
			}
		}
		if r.commands != "" || r.conversations != nil {
			all = append(all, r)
		}
	}
	return all
}

// TestRecipes runs the commands of docs/recipes.md, as scripts, and its conversations.
func TestRecipes(t *testing.T) {
	dir, scripts := t.TempDir(), 0
	for i, r := range readRecipes(t) {
		if r.commands != "" {
			scripts++
			script := "exec runnel serve --listen 127.0.0.1:0 --ready-file $WORK/ready &serve&\nready ready\n" +
				"exec sh -eu recipe.sh\ncmp stdout expected\n! stderr .\nkill -INT serve\nwait serve\n" +
				"-- recipe.sh --\n" + r.commands + "-- expected --\n" + r.expected
			name := fmt.Sprintf("%d-%s.txtar", i, strings.ReplaceAll(r.title, " ", "-"))
			if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range r.conversations {
			t.Run(r.title, func(t *testing.T) { converse(t, text) })
		}
	}
	if scripts < 4 {
		t.Errorf("%d recipes with commands", scripts)
	}
	testscript.Run(t, testscript.Params{Dir: dir, Setup: setUpScript, Cmds: scriptCommands})
}

// converse sends and receives the lines of a conversation.
func converse(t *testing.T, text string) {
	p := newTestDir(t)
	server, ready := p.serve(t)
	token, err := os.ReadFile(ready.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Authorization": {"Bearer " + strings.TrimSpace(string(token))}}
	conn, _, err := websocket.Dial(t.Context(), ready.URL, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, _, err := conn.Read(ctx); err != nil { // connected
		t.Fatal(err)
	}
	var other []string // received, and not expected so far
	for line := range strings.Lines(text) {
		direction, message, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch direction {
		case "→":
			err = conn.Write(ctx, websocket.MessageText, []byte(message))
		case "←":
			expected := fits(t, message)
			for err == nil && !slices.ContainsFunc(other, expected) {
				var got []byte
				if _, got, err = conn.Read(ctx); err == nil {
					other = append(other, string(got))
				}
				if len(other) > 20 {
					t.Fatalf("got %q\nwant %s", other, message)
				}
			}
			other = slices.DeleteFunc(other, expected)
		default:
			t.Fatalf("neither sent nor received: %s", line)
		}
		if err != nil {
			t.Fatalf("%v, after %q, at %s", err, other, message)
		}
	}
	_ = conn.Close(websocket.StatusNormalClosure, "")
	server.signal(syscall.SIGINT)
	server.expectExit(0)
}

// fits returns a function that reports whether a message has the members that another one names before
// its "…".
func fits(t *testing.T, want string) func(string) bool {
	var w any
	want = strings.NewReplacer(",…}", "}", "{…}", "{}").Replace(want)
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%v: %s", err, want)
	}
	return func(got string) bool {
		var g any
		return json.Unmarshal([]byte(got), &g) == nil && contains(g, w)
	}
}

// contains reports whether a value equals another one, or is an object that has its members.
func contains(got, want any) bool {
	w, object := want.(map[string]any)
	if !object {
		return reflect.DeepEqual(got, want)
	}
	g, _ := got.(map[string]any)
	for name, value := range w {
		member, ok := g[name]
		if !ok || !contains(member, value) {
			return false
		}
	}
	return g != nil
}
