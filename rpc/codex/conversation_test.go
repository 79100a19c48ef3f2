//go:build linux

package codex_test

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// A conversation is a txtar file as in package server: the sections client and server are processed in
// order. UUIDs, environmentInfo and the details of an error about a URI are written as placeholders.
func TestConversations(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/conversations/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no conversations", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := serve(t).connect("")
			hide := hider()
			for _, section := range archive.Files {
				for i, line := range strings.Split(strings.TrimSpace(string(section.Data)), "\n") {
					if section.Name == "client" {
						c.send(line)
						continue
					}
					ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
					_, text, err := c.ws.Read(ctx)
					cancel()
					if err != nil {
						t.Fatal(err)
					}
					if got := hide(string(text)); got != line {
						t.Fatalf("line %d\n got %s\nwant %s", i+1, got, line)
					}
				}
			}
		})
	}
}

var (
	uuids  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	infos  = regexp.MustCompile(`"environmentInfo":\{.*\}\}\}$`)
	detail = regexp.MustCompile(`(like file:///tmp: )[^"]*`)
)

// hider returns a function that replaces what differs between runs by placeholders.
func hider() func(string) string {
	seen := map[string]string{}
	return func(text string) string {
		text = infos.ReplaceAllString(text, `"environmentInfo":<info>}}`)
		text = detail.ReplaceAllString(text, "${1}<detail>")
		return uuids.ReplaceAllStringFunc(text, func(id string) string {
			if seen[id] == "" {
				seen[id] = fmt.Sprintf("<uuid %d>", len(seen)+1)
			}
			return seen[id]
		})
	}
}
