package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/process"

	"github.com/runnel-rpc/runnel/rpc/tomlfile"
)

// accounts are the users of the policies of the tests.
func accounts(name string) (process.Account, error) {
	for i, known := range []string{"deploy", "build", "dev", "test"} {
		if name == known {
			id := uint32(54321 + i)
			return process.Account{User: process.User{UID: id, GID: id, Groups: []uint32{id}}, Name: name, Home: "/home/" + name, Shell: "/bin/sh"}, nil
		}
	}
	return process.Account{}, fmt.Errorf("unknown user %s", name)
}

func parse(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := Parse("policy.toml", []byte(text), Options{Account: accounts, Directory: "/srv/work"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"[principal.ci]\nprogramms = []", `policy.toml:2: principal.ci.programms: unknown field`},
		{"[principal.ci]\n[principal.ci]", `policy.toml:2: `},
		{"[principal.ci]\nshell = true\nshell = false", `policy.toml:3: `},
		{"[principal.ci]\nshell = 1", `policy.toml:2: `},
		{"x", `policy.toml:1: `},
		{"[principal.ci]\nshell = false\nShell = true", `policy.toml:3: principal.ci.Shell: unknown field: fields are in lower case`},
		{"[principal.CI]\n[Principal.ci]\nshell = true", `policy.toml:2: Principal: unknown field`},
		{"[principal.'a/b']", `policy.toml:1: principal."a/b": "a/b" cannot be the name of a principal`},
		{"\n[group.'']", `policy.toml:2: group."": the name of a group`},
		{"[default]\nmethods = ['execute', 'exec']", `policy.toml:2: default.methods[1]: "exec" is not one of`},
		{"[[principal.ci.programs]]\npath='/bin/a'\n[[principal.ci.programs]]\npath = 'git'", `policy.toml:4: principal.ci.programs[1].path: "git" must be an absolute path`},
		{"[default]\nprograms = [\n{path='/bin/a'},\n{path='/bin/../a'}]", `policy.toml:4: default.programs[1].path: "/bin/../a" must be written "/a"`},
		{"[default]\nprograms = [{args=[]}]", `policy.toml:2: default.programs[0].path: is required`},
		{"[default]\nprograms = [{path='/bin/*/a'}]", `a * must be the last component`},
		{"[default]\nprograms = [{path='/bin/a', args=['***']}]", `policy.toml:2: default.programs[0].args: pattern 1: `},
		{"[default]\nprograms = [{path='/bin/a', extra=1}]", `unknown field`},
		{"[default]\ndirectories = ['/srv/', 'x']", `policy.toml:2: default.directories[0]: "/srv/" must be written "/srv"`},
		{"[default]\ndirectories = ['~x']", `default.directories[0]: "x" must be an absolute path`},
		{"[default]\ndirectory = '~/../x'", `default.directory: "/../x" must be written "/x"`},
		{"[default.environment]\naccept = ['A=B']", `policy.toml:2: default.environment.accept[0]: "A=B" must not contain =`},
		{"[default.environment]\npass = ['A*B']", `may have one * and only at its end`},
		{"[default.environment]\ndeny = ['']", `must not be empty`},
		{"[default.environment.set]\nPATH = '/bin:'", `policy.toml:2: default.environment.set.PATH: "" must be absolute`},
		{"[default]\nsandbox = 'build'", `policy.toml:2: default.sandbox: "build" is not a profile of sandboxes`},
		{"[default]\nuser = 'nobody-here'", `policy.toml:2: default.user: unknown user nobody-here`},
		{"[default]\nusers = ['build', 'x']", `policy.toml:2: default.users[1]: unknown user x`},
		{"[default]\ngroups = []", `default.groups: needs user or users`},
		{"[default]\nuser='build'\ngroups = ['no-such-group']", `default.groups[0]: `},
		{"[default]\nmax = {memory_bytes = 0}", `policy.toml:2: default.max.memory_bytes: 0 is too small`},
		{"[default]\nmax = {timeout = 0}", `default.max.timeout: 0 seconds`},
		{"[default]\nmax = {timeout = nan}", `default.max.timeout: NaN seconds`},
		{"[default]\nmax = {timeout = 1e10}", `default.max.timeout: 1e+10 seconds`},
		{"[default]\nmax = {timeout = 5}\ndefaults = {timeout = 6}", `policy.toml:3: default.defaults.timeout: 6s exceeds the maximum, 5s`},
		{"[default]\nmax = {processes = 5}\ndefaults = {processes = 6}", `default.defaults.processes: 6 exceeds the maximum, 5`},
		{"[default]\nmin_nice = 20", `policy.toml:2: default.min_nice: 20 is not from -20 to 19`},
	} {
		_, err := Parse("policy.toml", []byte(c.text), Options{Account: accounts})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q:\n%v\nwant %s", c.text, err, c.want)
		}
		if _, ok := errors.AsType[*tomlfile.Error](err); !ok {
			t.Errorf("%q: %T", c.text, err)
		}
	}
}

// TestParseBounds: errors and lists are bounded.
func TestParseBounds(t *testing.T) {
	text := "[default]\nprograms = [" + strings.Repeat("{path='x'},", tomlfile.MaxErrors+10) + "]"
	_, err := Parse("policy.toml", []byte(text), Options{})
	if n := strings.Count(fmt.Sprint(err), "\n") + 1; n != tomlfile.MaxErrors {
		t.Errorf("%d errors", n)
	}
	text = "[default]\nprograms = [" + strings.Repeat("{path='/x'},", maxEntries+1) + "]"
	if _, err = Parse("policy.toml", []byte(text), Options{}); err == nil || !strings.Contains(err.Error(), "at most 1000 elements") {
		t.Error(err)
	}
	if _, err := Parse("policy", make([]byte, MaxFileBytes+1), Options{}); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Error(err)
	}
}

// TestSection: the most specific section applies, and only that one.
func TestSection(t *testing.T) {
	const text = "[principal.ci]\n[principal.'ci@x.org']\n[group.b]\n[group.a]\n"
	p := parse(t, text)
	for _, c := range []struct {
		principal string
		groups    []string
		want      string
	}{
		{"ci", nil, "principal.ci"},
		{"ci", []string{"a"}, "principal.ci"},
		{"ci@x.org", nil, `principal."ci@x.org"`},
		{"other", []string{"a", "b"}, "group.a"},
		{"other", []string{"x", "b", "a"}, "group.b"},
		{"CI", nil, ""},
		{"other", nil, ""},
	} {
		got := ""
		if s := p.section(c.principal, c.groups); s != nil {
			got = s.name
		}
		if got != c.want {
			t.Errorf("%s in %v: %q, want %q", c.principal, c.groups, got, c.want)
		}
	}
	p = parse(t, text+"[default]\n")
	if s := p.section("other", nil); s == nil || s.name != "default" {
		t.Errorf("%+v", s)
	}
}

// FuzzParse: no text crashes the parser, and an error names a line of the file.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"[principal.ci]\nshell = true\n[[principal.ci.programs]]\npath='/bin/a'\nargs=['a*', '**...']\n",
		"[default]\nprograms = [{path='/bin/*'}, {path='x'}]\ndirectories=['~']\nuser='build'\n[default.environment]\nset={A='b'}\naccept=['*']\n",
		"[group.a.max]\ntimeout=1.5\nmemory_bytes=1\n",
		"principal = {a = {shell = true}}\n", "[[principal]]\n", "a.b.c = [[1], {x = 2}]",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse("f", []byte(text), Options{Account: accounts})
		if err == nil {
			for _, s := range p.all() {
				if s.name == "" || s.env.set["PATH"] == "" {
					t.Errorf("%+v", s)
				}
			}
			return
		}
		n := strings.Count(text, "\n") + 1
		for _, e := range flatten(err) {
			if file, ok := e.(*tomlfile.Error); !ok || file.Line < 0 || file.Line > n || file.Line == 0 && file.Key != "" {
				t.Errorf("%#v of %d lines: %v", e, n, e)
			}
		}
	})
}

func flatten(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
