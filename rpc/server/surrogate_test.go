//go:build linux

package server_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// TestLoneSurrogate: a string with the escape of a lone surrogate is refused, the error names
// the field, and nothing is read, run or written.
func TestLoneSurrogate(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "caf\ufffd"), []byte("another file"), 0o600); err != nil {
		t.Fatal(err)
	}
	id := p.start(object{"command": []string{"cat"}, "stdin": "pipe"})
	lone := json.RawMessage(`"caf\udce9"`)
	for _, test := range []struct {
		method string
		params object
		field  string
	}{
		{"execute", object{"command": lone}, "command"},
		{"execute", object{"command": []any{"cat", lone}, "cwd": dir}, "command[1]"},
		{"execute", object{"command": "pwd", "cwd": lone}, "cwd"},
		{"execute", object{"command": "env", "env": object{"A": lone}}, "env.A"},
		{"execute", object{"command": "env", "env": json.RawMessage(`{"\udce9":"x"}`)}, "env"},
		{"execute", object{"command": "true", "labels": object{"a": lone}}, "labels.a"},
		{"execute", object{"command": "true", "labels": json.RawMessage(`{"\ud800":"x"}`)}, "labels"},
		{"execute", object{"command": "true", "pty": object{"rows": 1, "cols": 1, "term": lone}}, "pty.term"},
		{"execute", object{"command": "true", "session_id": lone}, "session_id"},
		{"write", object{"data": lone}, "data"},
		{"write", object{"data": lone, "encoding": "base64"}, "data"},
		{"control", object{"type": lone}, "type"},
		{"control", object{"type": "SIGNAL", "signal": lone}, "signal"},
		{"list", object{"labels": object{"a": lone}}, "labels.a"},
		{"list", object{"state": lone}, "state"},
	} {
		if e := p.fails(-32602, test.method, test.params); e.Data["field"] != test.field {
			t.Errorf("%s %s: field %v, want %s", test.method, test.params, e.Data["field"], test.field)
		}
	}
	var w struct {
		Bytes int64 `json:"stdin_bytes"`
	}
	p.ok("write", object{"session_id": id, "data": json.RawMessage(`"\ud83d\ude00"`), "eof": true}, &w)
	if w.Bytes != 4 {
		t.Errorf("a pair makes %d bytes, want 4", w.Bytes)
	}
}
