package policy

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func document(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocumentedExample: the example of the documentation is valid, and decides as its text says.
func TestDocumentedExample(t *testing.T) {
	_, text, _ := strings.Cut(document(t), "```toml\n")
	text, _, ok := strings.Cut(text, "```\n")
	if !ok {
		t.Fatal("docs/policy.md has no example")
	}
	p := parse(t, text)
	for _, c := range []struct {
		params, rule, field string // "" if it is permitted
	}{
		{`"command":["make","-C","/srv/builds/a","all"],"cwd":"/srv/builds/a"`, "", ""},
		{`"command":["git","fetch","--quiet","origin"],"env":{"CI":"1"},"limits":{"memory_bytes":1000000}`, "", ""},
		{`"command":["git","checkout","--detach","0123456789abcdef0123456789abcdef01234567"]`, "", ""},
		{`"command":["git","checkout","--detach","main"]`, "programs", "command[3]"},
		{`"command":["make","-C","/srv/builds/a","SHELL=/tmp/x"]`, "programs", "command[3]"},
		{`"command":"make"`, "shell", "command"},
		{`"command":["make","-C","/srv/builds/a","all"],"cwd":"/srv"`, "directories", "cwd"},
		{`"command":["make","-C","/srv/builds/a","all"],"env":{"CI_TOKEN":"x"}`, "environment", "env.CI_TOKEN"},
		{`"command":["make","-C","/srv/builds/a","all"],"timeout":7200`, "max.timeout", "timeout"},
		{`"command":["make","-C","/srv/builds/a","all"],"user":"root"`, "users", "user"},
		{`"command":["make","-C","/srv/builds/a","all"],"nice":0`, "min_nice", "nice"},
	} {
		_, spec, err := decide(t, p, "{"+c.params+"}")
		if c.rule == "" {
			if err != nil || spec.Program.User == nil || spec.Program.Check == nil || !spec.Program.Attributes.NoNewPrivileges {
				t.Errorf("%s: %v, %+v", c.params, err, spec.Program)
			}
			continue
		}
		refused(t, err, "principal.ci."+c.rule, c.field)
	}
	if s := p.section("x", []string{"developers"}); s == nil || !s.shell || len(s.users) != 2 || !s.env.drop {
		t.Errorf("%+v", s)
	}
	refused(t, p.Authorize("x", nil, "execute"), "default.methods", "method")
}

// TestDocumentedKeys: the documentation has all keys of the file.
func TestDocumentedKeys(t *testing.T) {
	text := document(t)
	var check func(of reflect.Type)
	check = func(of reflect.Type) {
		for field := range of.Fields() {
			key := field.Tag.Get("toml")
			if of != reflect.TypeFor[file]() && !strings.Contains(text, "`"+key+"`") {
				t.Errorf("docs/policy.md does not have the key %s", key)
			}
			inner := field.Type
			for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				check(inner)
			}
		}
	}
	check(reflect.TypeFor[file]())
}
