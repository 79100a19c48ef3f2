package sandboxfile

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc/tomlfile"
)

const example = `# What no command in a sandbox may reach.
deny = ["/etc/ssl/private", "~/.ssh", "~/.aws"]

[[profile]]
name = "build"
allow = ["proxy.example.org:443", "*.example.com:443", "[2001:db8::1]:*"]

[[profile.files]]
path = "."
access = "write"

[[profile.files]]
path = ".git"
access = "read"

[[profile.files]]
path = "~/.cache"
access = "write"
missing = "create"

[[profile]]
name = "tight"
files_default = "none"
files = [{path = "/usr", access = "read"}, {path = "/lib", access = "read", missing = "error"}]
network = "none"
processes = "own"
tmp = "private"
devices = "minimal"
unix_sockets = "none"
metadata = "full"
`

func TestParse(t *testing.T) {
	p, err := Parse("f", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	at := sandbox.Place{Dir: "/w", Home: "/home/u"}
	c, err := p.Floor("build", at)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]sandbox.Access{
		"/w/x": sandbox.Write, "/w/.git/config": sandbox.Read, "/home/u/.cache/x": sandbox.Write, "/home/u/x": sandbox.Read,
		"/home/u/.ssh/id": sandbox.None, "/etc/ssl/private": sandbox.None,
	} {
		if got := c.At(file); got != want {
			t.Errorf("build: %s is %s, want %s", file, got, want)
		}
	}
	if c.Network.Mode != sandbox.AllowList || fmt.Sprint(c.Network.Allow) != "[proxy.example.org:443 *.example.com:443 [2001:db8::1]:*]" {
		t.Errorf("build: %+v", c.Network)
	}
	c, err = p.Floor("tight", at)
	if err != nil || c.At("/usr/bin/env") != sandbox.Read || c.At("/etc") != sandbox.None || c.Files[1].Missing != sandbox.Refuse {
		t.Errorf("tight: %+v, %v", c, err)
	}
	if names := fmt.Sprint(p.Names()); names != "[off read-only workspace build tight]" {
		t.Error(names)
	}
}

func TestParseErrors(t *testing.T) {
	const named = "[[profile]]\nname = 'a'\n"
	for text, want := range map[string]string{
		"x":                               "f:1: ",
		"denied = []":                     "f:1: denied: unknown field",
		"Deny = []":                       "f:1: Deny: unknown field",
		"deny = ['/a', 'b/c']":            `f:1: deny[1]: "b/c" must be an absolute path in its shortest form, or begin with "~/"`,
		"deny = ['/a/../b']":              `f:1: deny[0]: "/a/../b" must be an absolute path`,
		"deny = ['/']":                    `f:1: deny[0]: "/" must not be a whole`,
		"[[profile]]":                     `f:1: profile[0].name: "" must begin`,
		"[[profile]]\nname = 'A'":         `f:2: profile[0].name: "A" must begin`,
		"[[profile]]\nname = 'off'":       `f:2: profile[0].name: "off" is that of a profile that is built in`,
		"[[profile]]\nname = 'workspace'": `f:2: profile[0].name: "workspace" is that`,
		named + "[[profile]]\nname = 'a'": `f:4: profile[1].name: "a" is there twice`,
		named + "file = []":               "f:3: profile.file: unknown field",
		named + "[[profile.files]]\npath = '/a'\naccess = 'rw'":                            "f:5: profile[0].files[0].access: must be one of none, read, write",
		named + "[[profile.files]]\npath = '/a'":                                           "f:3: profile[0].files[0].access: must be one of",
		named + "[[profile.files]]\naccess = 'read'":                                       "f:3: profile[0].files[0].path: must not be empty",
		named + "files = [{path = '/a', access = 'read', mode = 1}]":                       "f:3: profile.mode: unknown field",
		named + "files = [{path = '/a', access = 'read'},\n{path = '/a', access='none'}]":  "f:4: profile[0].files[1].path: is the same as that of files[0]",
		named + "files = [{path = '/proc', access = 'read'}]":                              "f:3: profile[0].files[0].path: must not be in /proc",
		named + "files = [{path = '~x', access = 'read'}]":                                 "f:3: profile[0].files[0].path: must not begin with",
		named + "files = [{path = '/a', access = 'read', missing = ''}]":                   "",
		named + "files = [{path = '/a', access = 'read', missing = 'ignore'}]":             "f:3: profile[0].files[0].missing: must be one of",
		named + "files_default = 'write'":                                                  "f:3: profile[0].files_default: must be one of none, read",
		named + "network = 'some'":                                                         "f:3: profile[0].network: must be one of",
		named + "network = 'allow'":                                                        `f:3: profile[0].network: "allow" requires the list allow`,
		named + "network = 'allow'\nallow = []":                                            "",
		named + "allow = []":                                                               "",
		named + "network = 'none'\nallow = []":                                             `f:4: profile[0].allow: must not be set with the network "none"`,
		named + "allow = ['a.org:1', 'a.org']":                                             `f:3: profile[0].allow[1]: "a.org" must be HOST:PORT`,
		named + "processes = 'private'":                                                    "f:3: profile[0].processes: must be one of own, shared",
		named + "tmp = 'own'":                                                              "f:3: profile[0].tmp: must be one of private, shared",
		named + "devices = 'all'":                                                          "f:3: profile[0].devices: must be one of minimal",
		named + "unix_sockets = 'all'":                                                     "f:3: profile[0].unix_sockets: must be one of none, full",
		named + "metadata = 'none'":                                                        "f:3: profile[0].metadata: must be one of files, full",
		named + "files_default = 'none'":                                                   "f:3: profile[0].files_default: leaves nothing visible",
		named + "files_default = 'none'\nfiles = [{path = '/a', access = 'none'}]":         "f:3: profile[0].files_default: leaves nothing visible",
		named + "files = [{path = '.', access = 'read'}, {path = '/', access = 'none'}]":   "f:3: profile[0].files[1].access: hides the root directory",
		named + "files = [{path = '/a', access = 'read'}, {path = './', access = 'none'}]": "f:3: profile[0].files[1].access: hides the working directory",

		named + "files = [" + repeat(sandbox.MaxRules+1, "{path='/%d', access='read'},") + "]": "f:3: profile[0].files: must have at most 256 elements, and has 257",
		named + "allow = [" + repeat(sandbox.MaxDestinations+1, "'a%d.org:1',") + "]":          "f:3: profile[0].allow: at most 256 elements, not 257",
		"deny = [" + repeat(sandbox.MaxDeny+1, "'/%d',") + "]":                                 "f:1: deny: at most 256 elements, not 257",
		repeat(sandbox.MaxProfiles+1, "[[profile]]\nname = 'a%d'\n"):                           "f:1: profile: at most 256 elements, not 257",
		"deny = ['" + strings.Repeat("a", MaxFileBytes) + "']":                                 "f: is larger than 1048576 bytes",
	} {
		_, err := Parse("f", []byte(text))
		if want == "" {
			if err != nil {
				t.Errorf("%.200s: %v", text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.200s: %v, want %s", text, err, want)
		} else if _, ok := errors.AsType[*tomlfile.Error](err); !ok {
			t.Errorf("%.200s: the error is a %T", text, err)
		}
	}
}

func repeat(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// FuzzParse: every file is refused with the errors of its keys, or has profiles that are valid
// wherever their paths are.
func FuzzParse(f *testing.F) {
	f.Add([]byte(example), "/w", "/home/u")
	f.Fuzz(func(t *testing.T, text []byte, dir, home string) {
		p, err := Parse("f", text)
		if err != nil {
			if _, ok := errors.AsType[*tomlfile.Error](err); !ok {
				t.Errorf("%v is a %T", err, err)
			}
			return
		}
		for _, name := range p.Names() {
			c, err := p.Floor(name, sandbox.Place{Dir: dir, Home: home})
			if _, ok := errors.AsType[*sandbox.FieldError](err); err != nil && !ok {
				t.Errorf("%s: %v is a %T", name, err, err)
			}
			if c != nil && (c.Check() != nil || c.Within(c) != nil) {
				t.Errorf("%s: %+v is not valid", name, c)
			}
		}
	})
}
