//go:build linux

package codex_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/session/quota"
)

// TestFilesOfTheServer checks that no operation changes a file on which the server depends, and that a path is
// no workspace of its own under a sandbox that the server requires.
func TestFilesOfTheServer(t *testing.T) {
	t.Parallel()
	needsSandbox(t)
	dir := t.TempDir()
	keys := filepath.Join(dir, "jwks.json")
	if err := os.WriteFile(keys, []byte("keys"), 0o600); err != nil {
		t.Fatal(err)
	}
	own, err := process.Open(process.Options{Containment: "group", ReadOnlyInSandboxes: []string{keys}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = own.Close() })
	shared := sandbox.NewProfiles(nil, map[string]sandbox.Partial{
		"here": {Files: []sandbox.Rule{{Path: ".", Access: sandbox.Write}}, Tmp: sandbox.Shared},
	})
	write := func(name string, box any) map[string]any {
		return map[string]any{"path": "file://" + name, "dataBase64": "eA==", "sandbox": box}
	}
	box := boxed(dir, "restricted", special("root", "read"), special("project_roots", "write"))
	for _, floor := range []string{"", "here"} {
		c := serve(t, func(set *settings) {
			set.Session.Host = own
			set.Server.Sandboxes.Default, set.Server.Sandboxes.Profiles = floor, func() *sandbox.Profiles { return shared }
		}).client()
		for _, sandbox := range []any{nil, box} {
			c.refused("fs/writeFile", write(keys, sandbox), -32600)
			c.refused("fs/remove", map[string]any{"path": "file://" + keys, "sandbox": sandbox}, -32600)
			c.refused("fs/remove", map[string]any{"path": "file://" + dir, "sandbox": sandbox}, -32600)
			c.refused("fs/open", map[string]any{"path": "file://" + keys, "handleId": "h", "mode": "replace", "sandbox": sandbox}, -32600)
		}
		if text, err := os.ReadFile(keys); err != nil || string(text) != "keys" {
			t.Fatalf("it was changed: %q %v", text, err)
		}
		c.mustCall("fs/writeFile", write(dir+"/boxed", box), nil)
		if floor == "" {
			c.mustCall("fs/writeFile", write(dir+"/free", nil), nil)
			continue
		}
		if text := c.refused("fs/writeFile", write(dir+"/new", nil), -32600); !strings.Contains(text, "working directory") {
			t.Errorf("the error does not say why: %s", text)
		}
		c.refused("fs/createDirectory", map[string]any{"path": "file://" + dir + "/new"}, -32600)
		if _, err := os.Lstat(dir + "/new"); err == nil {
			t.Error("it was made in a workspace that its path chose")
		}
		c.mustCall("fs/readFile", map[string]any{"path": "file://" + keys}, nil)
		c.mustCall("fs/readDirectory", map[string]any{"path": "file://" + dir}, nil)
		c.mustCall("fs/getMetadata", map[string]any{"path": "file:///etc/passwd"}, nil) // no workspace can be there
	}
}

// TestNoSessionsNoAccess checks that a principal that may have no session uses neither files nor the network.
func TestNoSessionsNoAccess(t *testing.T) {
	t.Parallel()
	s := serve(t, withHTTP)
	none := 0
	for name, c := range map[string]quota.Config{
		"principal": {Owners: map[string]quota.Quotas{"user": {MaxSessions: &none}}},
		"group":     {Groups: map[string]quota.Group{"g": {Members: []string{"user"}, Quotas: quota.Quotas{MaxSessions: &none}}}},
	} {
		if err := s.registry.SetQuotas(c); err != nil {
			t.Fatal(err)
		}
		p := s.client()
		for method, params := range map[string]map[string]any{
			"fs/getMetadata": {"path": "file:///etc/passwd"}, "http/request": get("http://127.0.0.1:1/"),
		} {
			if text := p.refused(method, params, -32603); !strings.Contains(text, "Session limit") {
				t.Errorf("%s, %s: %s", name, method, text)
			}
		}
		other := s.connect("other")
		other.initialize("")
		other.mustCall("fs/getMetadata", map[string]any{"path": "file:///etc/passwd"}, nil)
	}
}

// TestDirectoryOfPolicy checks that a directory of a policy can itself be read.
func TestDirectoryOfPolicy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := serve(t, func(set *settings) {
		set.Server.Restrict = func(_ access.Identity, p *rpc.ExecuteParams, spec *session.Spec) error {
			if spec.Directories = []string{dir}; !sandbox.Below(string(p.Cwd), dir) {
				return rpc.Forbidden("directories", "cwd")
			}
			return nil
		}
	}).client()
	for _, method := range []string{"fs/readDirectory", "fs/getMetadata", "fs/canonicalize"} {
		c.mustCall(method, map[string]any{"path": "file://" + dir}, nil)
		c.mustCall(method, map[string]any{"path": "file://" + dir + "/"}, nil)
		c.refused(method, map[string]any{"path": "file://" + filepath.Dir(dir)}, -32600)
	}
}

// TestFileBytes checks that the limit of the size of a file applies to operations on files.
func TestFileBytes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := serve(t, func(set *settings) { set.Server.Defaults.MaxLimits = process.Limits{process.FileBytes: 1000} }).client()
	uri := func(name string) string { return "file://" + filepath.Join(dir, name) }
	write := func(name string, size int) map[string]any {
		return map[string]any{"path": uri(name), "dataBase64": base64.StdEncoding.EncodeToString(make([]byte, size))}
	}
	c.mustCall("fs/writeFile", write("a", 1000), nil)
	if text := c.refused("fs/writeFile", write("b", 1001), -32600); !strings.Contains(text, "file_bytes") {
		t.Errorf("the error does not name the limit: %s", text)
	}
	c.mustCall("fs/open", map[string]any{"path": uri("c"), "handleId": "h", "mode": "replace"}, nil)
	c.mustCall("fs/writeBlock", map[string]any{"handleId": "h", "offset": 998, "chunk": "eHg="}, nil)
	c.refused("fs/writeBlock", map[string]any{"handleId": "h", "offset": 999, "chunk": "eHg="}, -32600)
	c.refused("fs/writeBlock", map[string]any{"handleId": "h", "offset": 1 << 40, "chunk": "eHg="}, -32600)
	if err := os.Mkdir(dir+"/large", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/large/x", make([]byte, 1001), 0o600); err != nil {
		t.Fatal(err)
	}
	copying := func(from, to string) map[string]any {
		return map[string]any{"sourcePath": uri(from), "destinationPath": uri(to), "recursive": true}
	}
	c.mustCall("fs/copy", copying("a", "d"), nil)
	c.refused("fs/copy", copying("large/x", "e"), -32600)
	c.refused("fs/copy", copying("large", "f"), -32600)
	for name, most := range map[string]int64{"a": 1000, "c": 1000, "d": 1000, "e": 1000, "f/x": 1000} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() > most {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
}

// brokenAudit makes a server require an audit log that cannot be written.
func brokenAudit(t *testing.T) func(*settings) {
	set, breakLog := auditThatBreaks(t)
	breakLog()
	return set
}

// auditThatBreaks makes a server require an audit log that cannot be written any more after a call of breakLog.
func auditThatBreaks(t *testing.T) (set func(*settings), breakLog func()) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(audit.Options{Target: "-", Stdout: w, Required: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	set = func(set *settings) {
		set.Server.Audit = log
		t.Cleanup(func() { log.Close() }) // after the service
	}
	return set, func() { _ = r.Close() }
}

// TestFilesWithoutAudit checks that no file is used while a required audit log cannot be written.
func TestFilesWithoutAudit(t *testing.T) {
	t.Parallel()
	c := serve(t, brokenAudit(t)).client()
	dir := t.TempDir()
	if c.call("process/start", command("p", "true")).Error == nil {
		t.Fatal("a command was started")
	}
	for _, method := range []string{"fs/writeFile", "fs/readDirectory"} {
		m := c.call(method, map[string]any{"path": "file://" + dir + "/x", "dataBase64": "eA=="})
		if m.Error == nil || !strings.Contains(m.Error.Message, "audit") {
			t.Errorf("%s: %+v", method, m.Error)
		}
	}
	if _, err := os.Stat(dir + "/x"); err == nil {
		t.Error("a file was written")
	}
}

// TestHandlesWithoutAudit checks that no open file is used either.
func TestHandlesWithoutAudit(t *testing.T) {
	t.Parallel()
	set, breakLog := auditThatBreaks(t)
	c := serve(t, set).client()
	dir := t.TempDir()
	uri := func(name string) string { return "file://" + filepath.Join(dir, name) }
	c.mustCall("fs/writeFile", map[string]any{"path": uri("a"), "dataBase64": "eA=="}, nil)
	c.mustCall("fs/open", map[string]any{"path": uri("a"), "handleId": "r"}, nil)
	c.mustCall("fs/open", map[string]any{"path": uri("b"), "handleId": "w", "mode": "replace"}, nil)
	read := map[string]any{"handleId": "r", "offset": 0, "len": 1}
	write := map[string]any{"handleId": "w", "offset": 0, "chunk": "eA=="}
	c.mustCall("fs/readBlock", read, nil)
	c.mustCall("fs/writeBlock", write, nil)
	breakLog()
	if c.call("process/start", command("p", "true")).Error == nil {
		t.Fatal("a command was started")
	}
	write["offset"] = 1
	for method, params := range map[string]any{"fs/readBlock": read, "fs/writeBlock": write} {
		if text := c.refused(method, params, -32603); !strings.Contains(text, "audit") {
			t.Errorf("%s: %s", method, text)
		}
	}
	if info, err := os.Stat(dir + "/b"); err != nil || info.Size() != 1 {
		t.Errorf("%v %v", info, err)
	}
	c.mustCall("fs/close", map[string]any{"handleId": "r"}, nil)
}

// TestHardLinksOfHiddenFiles checks that a file of the server is not read by a hard link, one that was there before and
// one that a command has made.
func TestHardLinksOfHiddenFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("token"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(secret, filepath.Join(dir, "before")); err != nil {
		t.Fatal(err)
	}
	own, err := process.Open(process.Options{Containment: "group", HideFromSandboxes: []string{secret}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = own.Close() })
	c := serve(t, func(set *settings) { set.Session.Host = own }).client()
	c.start("p", "ln "+secret+" "+dir+"/made && cat "+dir+"/made")
	if output, _ := c.ended("p"); !strings.Contains(output, "token") {
		t.Fatalf("the command has made no link: %q", output)
	}
	for _, name := range []string{"secret", "before", "made"} {
		c.refused("fs/readFile", map[string]any{"path": "file://" + dir + "/" + name}, -32004)
		c.refused("fs/open", map[string]any{"path": "file://" + dir + "/" + name, "handleId": "h"}, -32004)
	}
}
