//go:build linux

package codex_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/session"
)

// secretText is in a file outside; secretName is a name there that no request has.
const secretText, secretName = "not for the caller", "unnamed"

// trickTree has the directory in, which is permitted, and the directory out, which is not.
type trickTree struct{ dir, in, out string }

// makeAnew makes the files as they are at the beginning.
func (w *trickTree) makeAnew(t *testing.T) {
	t.Helper()
	fail := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	fail(os.RemoveAll(w.in))
	fail(os.RemoveAll(w.out))
	fail(os.MkdirAll(w.in+"/dir", 0o700))
	fail(os.MkdirAll(w.out+"/dir/"+secretName, 0o700))
	fail(os.WriteFile(w.in+"/file", []byte("own"), 0o600))
	fail(os.WriteFile(w.out+"/secret", []byte(secretText), 0o600))
	fail(os.Symlink("../out", w.in+"/up"))
	fail(os.Symlink(w.out+"/secret", w.in+"/link"))
	fail(os.Symlink("/", w.in+"/root"))
	fail(os.Symlink("/proc/self/root", w.in+"/self"))
}

// outside returns all that is outside.
func (w *trickTree) outside(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(w.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == w.in {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(&b, name, info.Mode(), info.Size())
		if info.Mode().IsRegular() {
			text, _ := os.ReadFile(name)
			fmt.Fprintf(&b, "%q\n", text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// trick is a URI that leads, or seems to lead, out of what is permitted.
type trick struct {
	name, uri string
	expected  outcome
}

type outcome int

const (
	invalid outcome = iota // -32602
	refused                // -32600 or -32004, as if there were no such file
	inside                 // refused, or carried out inside
)

func (w *trickTree) tricks() []trick {
	in, out := "file://"+w.in, "file://"+w.out
	up := strings.Repeat("/..", 30)
	return []trick{
		{"outside", out + "/secret", refused},
		{"a directory outside", out + "/dir", refused},
		{"..", in + "/../out/secret", invalid},
		{".. above the root", in + up + w.out + "/dir", invalid},
		{"encoded dots", in + "/%2e%2e/out/secret", invalid},
		{"one encoded dot", in + "/.%2E/out/dir", invalid},
		{"encoded slashes", in + "%2f..%2Fout%2fsecret", invalid},
		{"backslashes", in + `/..\..\out\secret`, inside},
		{"encoded twice", in + "/%252e%252e%252fout/secret", inside},
		{"a link to a directory", in + "/up/secret", refused},
		{"a new file behind a link", in + "/up/new", refused},
		{"a directory behind a link", in + "/up/dir", refused},
		{"a link to the root", in + "/root" + w.out + "/secret", refused},
		{"a link to /proc/self/root", in + "/self" + w.out + "/secret", refused},
		{"/proc/self/root", "file:///proc/self/root" + w.out + "/secret", refused},
		{"/proc/self/root, inside", "file:///proc/self/root" + w.in + "/file", refused},
		{"/proc/thread-self/root", "file:///proc/thread-self/root" + w.out + "/dir", refused},
		{"/proc/self/cwd", "file:///proc/self/cwd/doc.go", refused},
		{"/proc/self/environ", "file:///proc/self/environ", refused},
		{"/dev/fd", "file:///dev/fd/0", refused},
		{"a host", "file://host" + w.in + "/file", invalid},
		{"a host with a port", "file://localhost:80" + w.in + "/file", invalid},
		{"a user", "file://root@localhost" + w.in + "/file", invalid},
		{"no host but a path", "file:///" + w.out + "/secret", refused},
		{"NUL", in + "/file%00/../../out/secret", invalid},
		{"NUL at the end", in + "/file%00", invalid},
		{"NUL in the URI", in + "/file\x00", invalid},
		{"an empty path", "", invalid},
		{"a URI without a path", "file://", invalid},
		{"a relative path", "dir/file", invalid},
		{"a relative URI", "file:dir/file", invalid},
		{"a path", w.out + "/secret", invalid},
		{"another scheme", "http://localhost" + w.in + "/file", invalid},
		{"a query", in + "/file?x", invalid},
		{"a long name", in + "/" + strings.Repeat("a", 300), inside},
		{"a long path", in + strings.Repeat("/a", 3000), invalid},
		{"a very long URI", in + strings.Repeat("/a", 100_000), invalid},
	}
}

// fileMethod is a method that takes a path, with the field of the path and other params.
type fileMethod struct {
	name, field string
	changes     bool
	params      map[string]any
}

var fileMethods = []fileMethod{
	{"fs/readFile", "path", false, nil},
	{"fs/getMetadata", "path", false, nil},
	{"fs/canonicalize", "path", false, nil},
	{"fs/readDirectory", "path", false, nil},
	{"fs/walk", "path", false, map[string]any{"options": map[string]any{"maxDepth": 9, "maxDirectories": 99, "maxEntries": 99, "followDirectorySymlinks": true}}},
	{"fs/open", "path", false, map[string]any{"handleId": "h"}},
	{"fs/open", "path", true, map[string]any{"handleId": "h", "mode": "replace"}},
	{"fs/writeFile", "path", true, map[string]any{"dataBase64": "eA=="}},
	{"fs/createDirectory", "path", true, map[string]any{"recursive": true}},
	{"fs/createDirectory", "path", true, map[string]any{"recursive": false}},
	{"fs/remove", "path", true, map[string]any{"recursive": true, "force": false}},
	{"fs/copy", "sourcePath", false, map[string]any{"recursive": true}},
	{"fs/copy", "destinationPath", true, map[string]any{"recursive": true}},
}

// TestPathTricks checks over the wire that no method reads or changes a file outside of the directories of a
// policy, or outside of a sandbox, and that the errors are clear. That of a sandbox in which everything
// can be read is only for the methods that change files.
func TestPathTricks(t *testing.T) {
	t.Parallel()
	needsSandbox(t)
	for name, kind := range map[string]struct {
		policy  bool
		entries func(in string) []map[string]any // of the sandbox
		changes bool                             // only methods that change files
	}{
		"policy": {policy: true},
		"sandbox": {entries: func(in string) []map[string]any {
			return []map[string]any{{"path": map[string]string{"type": "path", "path": in}, "access": "write"}}
		}},
		"workspace": {changes: true, entries: func(string) []map[string]any {
			return []map[string]any{special("root", "read"), special("project_roots", "write")}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			w := &trickTree{dir: dir, in: dir + "/in", out: dir + "/out"}
			w.makeAnew(t)
			c := serve(t, func(set *settings) {
				if kind.policy {
					set.Server.Restrict = onlyBelow(w.in)
				}
			}).client()
			var box any
			if kind.entries != nil {
				box = boxed(w.in, "restricted", kind.entries(w.in)...)
			}
			own := map[string]any{"path": "file://" + w.in + "/file", "dataBase64": "b3du", "sandbox": box}
			c.mustCall("fs/writeFile", own, nil)
			c.mustCall("fs/readFile", own, nil)
			for _, m := range fileMethods {
				if m.changes || !kind.changes {
					w.tryAll(t, c, m, box, kind.changes)
				}
			}
		})
	}
}

// tryAll tries a method with all tricks. readable is set if everything can be read.
func (w *trickTree) tryAll(t *testing.T, c *peer, m fileMethod, box any, readable bool) {
	t.Helper()
	before := w.outside(t)
	for _, trick := range w.tricks() {
		params := map[string]any{"sourcePath": "file://" + w.in + "/file", "destinationPath": "file://" + w.in + "/copy"}
		maps.Copy(params, m.params)
		params[m.field], params["sandbox"] = trick.uri, box
		what := fmt.Sprintf("%s (%v) of %s", m.name, m.params, trick.name)
		answer := c.call(m.name, params)
		if !readable || m.name != "fs/createDirectory" {
			checkAnswer(t, what, answer, trick)
		} // else it may say that there is such a file
		c.mustCall("fs/close", map[string]any{"handleId": "h"}, nil)
		if after := w.outside(t); after != before {
			t.Fatalf("%s has changed files:\n%s\nwere\n%s", what, after, before)
		}
		if answer.Error == nil {
			w.makeAnew(t)
		}
	}
}

// checkAnswer checks that an answer is what is expected, and says nothing of what is outside.
func checkAnswer(t *testing.T, what string, m message, trick trick) {
	t.Helper()
	text := []byte(m.Result)
	if m.Error != nil {
		text, _ = json.Marshal(m.Error)
	}
	switch {
	case m.Error == nil && trick.expected != inside:
		t.Errorf("%s: %.300s", what, text)
	case m.Error == nil:
	case m.Error.Message == "" || strings.Contains(m.Error.Message, "internal error"),
		(m.Error.Code == -32602) != (trick.expected == invalid) && trick.expected != inside,
		m.Error.Code != -32602 && m.Error.Code != -32600 && m.Error.Code != -32004:
		t.Errorf("%s: %.300s", what, text)
	}
	if strings.Contains(string(text), secretText) || strings.Contains(string(text), secretName) || len(text) > 1000 {
		t.Errorf("%s: the answer tells too much: %.1000s", what, text)
	}
}

// onlyBelow is a policy that permits a directory.
func onlyBelow(dir string) func(access.Identity, *rpc.ExecuteParams, *session.Spec) error {
	return func(_ access.Identity, p *rpc.ExecuteParams, spec *session.Spec) error {
		if spec.Directories = []string{dir}; !sandbox.Below(string(p.Cwd), dir) {
			return rpc.Forbidden("directories", "cwd")
		}
		return nil
	}
}
