//go:build linux

package codex_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// testFiles checks each method with files, and their errors.
func testFiles(t *testing.T, s *service) {
	c := s.client()
	dir := t.TempDir()
	uri := func(name string) string { return "file://" + filepath.Join(dir, name) }
	ok := func(method string, params map[string]any, want string) {
		t.Helper()
		var result json.RawMessage
		params["sandbox"] = nil
		c.mustCall(method, params, &result)
		if want != "" && string(result) != want {
			t.Errorf("%s: %s, want %s", method, result, want)
		}
	}
	ok("fs/createDirectory", map[string]any{"path": uri("a/b"), "recursive": true}, "{}")
	ok("fs/writeFile", map[string]any{"path": uri("a/file"), "dataBase64": "aGVsbG8="}, "{}")
	ok("fs/readFile", map[string]any{"path": uri("a/file")}, `{"dataBase64":"aGVsbG8="}`)
	ok("fs/copy", map[string]any{"sourcePath": uri("a"), "destinationPath": uri("c"), "recursive": true}, "{}")
	var list struct {
		Entries []struct {
			FileName            string
			IsDirectory, IsFile bool
		}
	}
	c.mustCall("fs/readDirectory", map[string]any{"path": uri("c")}, &list)
	if s.codex && len(list.Entries) == 2 && list.Entries[0].IsFile { // it does not sort them
		slices.Reverse(list.Entries)
	}
	if got := fmt.Sprint(list.Entries); got != "[{b true false} {file false true}]" {
		t.Error(got)
	}
	if err := os.Symlink("a/file", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	var m struct {
		IsFile, IsSymlink bool
		Size              int
	}
	c.mustCall("fs/getMetadata", map[string]any{"path": uri("link")}, &m)
	if !m.IsFile || !m.IsSymlink || m.Size != 5 {
		t.Errorf("%+v", m)
	}
	ok("fs/canonicalize", map[string]any{"path": uri("link")}, `{"path":"`+uri("a/file")+`"}`)
	ok("fs/open", map[string]any{"path": uri("a/file"), "handleId": "h"}, `{"handleId":"h"}`)
	ok("fs/readBlock", map[string]any{"handleId": "h", "offset": 1, "len": 2}, `{"chunk":"ZWw=","eof":false}`)
	ok("fs/readBlock", map[string]any{"handleId": "h", "offset": 4, "len": 9}, `{"chunk":"bw==","eof":true}`)
	ok("fs/close", map[string]any{"handleId": "h"}, "{}")
	ok("fs/walk", map[string]any{"path": uri("c"), "options": map[string]any{
		"maxDepth": 3, "maxDirectories": 9, "maxEntries": 9, "followDirectorySymlinks": false,
	}},
		`{"entries":[{"path":"`+uri("c/b")+`","kind":"directory"},{"path":"`+uri("c/file")+`","kind":"file"}],"errors":[],"truncated":false}`)
	ok("fs/remove", map[string]any{"path": uri("c"), "recursive": true, "force": false}, "{}")
	if _, err := os.Stat(filepath.Join(dir, "c")); err == nil {
		t.Error("it was not removed")
	}
	c.refused("fs/readFile", map[string]any{"path": uri("none")}, -32004)
	c.refused("fs/getMetadata", map[string]any{"path": uri("none/none")}, -32004)
	c.refused("fs/remove", map[string]any{"path": uri("none"), "force": false}, -32004)
	closed := c.outcome("fs/readBlock", map[string]any{"handleId": "h", "offset": 1, "len": 2})
	s.expect(t, "fs/readBlock of a handle that is closed", closed, "error -32600")
	for _, bad := range []string{"/etc/passwd", "file://host/etc", "file:///a/../b", "file:///a%2fb", "file:///a%00b", "http:///a", ""} {
		s.expect(t, "fs/readFile of "+bad, c.outcome("fs/readFile", map[string]any{"path": bad}), "error -32602")
	}
}
