package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/tomlfile"
)

const principalsExample = `
[[certificate]]
name = "ci-*.example.org"
principal = "ci"

[[certificate]]
name = "spiffe://example.org/**"
principal = "agents"
role = "observe"

[[jwt]]
subject = "repo:org/app:**"
principal = "deploy"
role = "admin"

[[group]]
name = "team"
members = ["ci", "deploy", "alice"]
quotas = { max_sessions = 10, replay_bytes = 1_000_000 }

[[group]]
name = "others"
members = ["agents"]

[[principal]]
name = "alice"
quotas.min_sessions = 0
quotas.max_sessions = 5
quotas.starts_per_second = 2.5
`

func TestPrincipals(t *testing.T) {
	p, err := ParsePrincipals("f", []byte(principalsExample))
	if err != nil {
		t.Fatal(err)
	}
	if who, role, ok := p.Certificate("other", "ci-1.example.org"); who != "ci" || role != access.Run || !ok {
		t.Errorf("%q, %v, %v", who, role, ok)
	}
	if who, role, ok := p.Certificate("spiffe://example.org/a/b"); who != "agents" || role != access.Observe || !ok {
		t.Errorf("%q, %v, %v", who, role, ok)
	}
	if who, role, ok := p.JWT("repo:org/app:ref:refs/heads/main"); who != "deploy" || role != access.Admin || !ok {
		t.Errorf("%q, %v, %v", who, role, ok)
	}
	for _, name := range []string{"", "ci", "ci-1.2.example.org", "ci-1.example.org.", "user", "repo:org/app:x", strings.Repeat("a", MaxPatternBytes+1)} {
		if who, _, ok := p.Certificate(name); ok {
			t.Errorf("%q is %q", name, who)
		}
	}
	if !p.SameGroup("ci", "alice") || p.SameGroup("ci", "agents") || p.SameGroup("x", "y") || p.SameGroup("", "") {
		t.Error("groups")
	}
	if q := p.GroupQuotas()["team"]; *q.MaxSessions != 10 || *q.ReplayBytes != 1e6 || q.MinSessions != nil {
		t.Errorf("%+v", q)
	}
	if q := p.PrincipalQuotas()["alice"]; *q.MinSessions != 0 || *q.StartsPerSecond != 2.5 {
		t.Errorf("%+v", q)
	}
	if all := p.Known(); !slices.Equal(all, []string{"agents", "alice", "ci", "deploy"}) {
		t.Error(all)
	}
}

// TestNoPrincipals: without a file there are no mappings and no groups.
func TestNoPrincipals(t *testing.T) {
	var p *Principals
	if _, _, ok := p.Certificate("a"); ok || p.SameGroup("a", "b") || p.Known() != nil || p.GroupQuotas() != nil {
		t.Error("nil finds something")
	}
	if _, _, ok := p.JWT("a"); ok {
		t.Error("nil finds a subject")
	}
}

func TestPrincipalsErrors(t *testing.T) {
	many := &strings.Builder{}
	for i := range MaxMappings + 1 {
		fmt.Fprintf(many, "[[jwt]]\nsubject = \"%d\"\nprincipal = \"a\"\n", i)
	}
	for text, want := range map[string]string{
		"[[certificate]]\nprincipal = \"a\"\n":                                        "f:1: certificate.name: must have",
		"[[certificate]]\nname = \"a\"\n":                                             "f:1: certificate.principal: ",
		"[[jwt]]\nsubject = \"a\"\nprincipal = \"a b\"\n":                             "f:1: jwt.principal: ",
		"[[jwt]]\nname = \"a\"\n":                                                     "f:2: jwt.name: unknown field",
		"[[group]]\nname = \"g\"\n\n[[group]]\nname = \"g\"\n":                        `f:4: group.name: "g" occurs twice`,
		"[[group]]\nname = \"g\"\nmembers = [\"a\", \"a\"]\n":                         `f:1: group.members: "a" is a member of "g"`,
		"[[group]]\nname = \"g\"\nmembers = [\"\"]\n":                                 "f:1: group.members: ",
		"[[principal]]\nname = \"a\"\n[principal.quotas]\nmax_sessions = -1\n":        "f:1: principal.quotas.max_sessions: must not",
		"[[principal]]\nname = \"a\"\nquotas = {max_sessions = 1, min_sessions = 2}":  "f:1: principal.quotas.min_sessions: exceeds",
		"[[principal]]\nname = \"a\"\nquotas.starts_per_second = nan":                 "f:1: principal.quotas.starts_per_second: ",
		"[[principal]]\nname = \"a\"\nquotas.max = 1":                                 "f:3: principal.quotas.max: unknown field",
		"[[principal]]\nname = \"a\"\n\n[[principal]]\nname = \"a\"\n":                `f:4: principal.name: "a" occurs twice`,
		"[[certificate]]\nname=\"a\"\nprincipal=\"a\"\n[[certificate]]\nname=\"a\"\n": `f:4: certificate.name: "a" occurs twice`,
		many.String(): "f:3073: jwt.subject: more than 1024",
		strings.Repeat("#", MaxPrincipalsFileBytes+1): "f: is larger than",
	} {
		p, err := ParsePrincipals("f", []byte(text))
		if _, ok := errors.AsType[*tomlfile.Error](err); !ok || !strings.HasPrefix(err.Error(), want) || p != nil {
			t.Errorf("%.100q: %v, want %s", text, err, want)
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true}, {"a", "A", false}, {"a", "ab", false}, {"a", "", false}, {"*", "", true}, {"*", "abc", true},
		{"*", "a.b", false}, {"**", "a.b/c", true}, {"*.x", "a.x", true}, {"*.x", ".x", true}, {"*.x", "a.b.x", false},
		{"**.x", "a.b.x", true}, {"a*b*c", "aXbYc", true}, {"a*b*c", "aXbY", false}, {"a**", "b", false}, {"*@x", "a@x", true},
		{"*@x", "a@y@x", false}, {"***", "a.b", true}, {"*a*a*a*a*a*a*b", strings.Repeat("a", 500), false},
	} {
		if matches(c.pattern, c.name) != c.want {
			t.Errorf("%q and %.20q: %v", c.pattern, c.name, !c.want)
		}
	}
}

func FuzzParsePrincipals(f *testing.F) {
	f.Add(principalsExample)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePrincipals("f", []byte(text))
		if _, ok := errors.AsType[*tomlfile.Error](err); err != nil && !ok {
			t.Errorf("%T: %v", err, err)
		}
		for _, name := range p.Known() {
			if access.ValidPrincipal(name) != nil {
				t.Errorf("%q", name)
			}
		}
	})
}
