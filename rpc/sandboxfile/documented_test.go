package sandboxfile

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// TestExamples: the files in sandbox.md are valid, and permit what the text says.
func TestExamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/sandbox.md")
	if err != nil {
		t.Fatal(err)
	}
	at := sandbox.Place{Dir: "/w", Home: "/h"}
	text := string(page)
	for _, name := range []string{"build", "no-namespaces"} {
		_, rest, _ := strings.Cut(text, "```toml\n")
		example, after, ok := strings.Cut(rest, "```\n")
		if !ok {
			t.Fatalf("docs/sandbox.md has no example of a profile %s", name)
		}
		text = after
		p, err := Parse("sandbox.md", []byte(example))
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.Floor(name, at)
		if err != nil || c.At("/w/x") != sandbox.Write || c.At("/x") != sandbox.Read {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

// TestDocumented: the example of the documentation is valid, and has all keys of the file.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n## Sandbox profiles\n")
	_, text, _ = strings.Cut(text, "```toml\n")
	text, after, ok := strings.Cut(text, "```\n")
	if !ok {
		t.Fatal("docs/operating.md has no example")
	}
	p, err := Parse("operating.md", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.Floor("build", sandbox.Place{Dir: "/w", Home: "/h"})
	if err != nil || c.At("/w/x") != sandbox.Write || c.At("/w/.git") != sandbox.Read || c.At("/h/.ssh/id") != sandbox.None {
		t.Errorf("%+v, %v", c, err)
	}
	for _, of := range []reflect.Type{reflect.TypeFor[file](), reflect.TypeFor[profileText](), reflect.TypeFor[ruleText]()} {
		for field := range of.Fields() {
			if key := field.Tag.Get("toml"); !strings.Contains(text+after[:2000], key) {
				t.Errorf("docs/operating.md does not have the key %s", key)
			}
		}
	}
}
