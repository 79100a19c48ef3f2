//go:build linux

package codex_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/rpc/server"
	"github.com/runnel-rpc/runnel/session"
)

// openAudit opens an audit log in a new file, and closes it after the server of the test, which is started later.
func openAudit(t *testing.T) (log *audit.Log, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "audit")
	log, err := audit.Open(audit.Options{Target: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return log, path
}

// TestAudit checks that the audit log has the connection, the start, the first write, the signal and the end
// of a process, and what was refused.
func TestAudit(t *testing.T) {
	t.Parallel()
	log, path := openAudit(t)
	s := serve(t, func(set *settings) {
		set.Server.Audit = log
		set.Session.OnRunning, set.Session.OnEnded, set.Session.OnDestination = server.AuditSessions(log)
	})
	c := s.client()
	params := command("p", "cat")
	params["pipeStdin"] = true
	c.mustCall("process/start", params, nil)
	c.write("p", "x", "1")
	c.mustCall("process/signal", map[string]any{"processId": "p", "signal": "interrupt"}, nil)
	c.terminate("p")
	for e := c.event(); e.Method != "process/closed"; e = c.event() {
	}
	c.refused("process/start", map[string]any{
		"processId": "q", "argv": []string{"true"}, "cwd": "file:///", "env": map[string]string{"": "x"},
	}, -32602)
	c.drop()
	want := []string{
		`"path":"/codex"`, `"execute"`, `"action":"write"`, `"SIGINT"`, `"end"`, `"close"`,
	}
	var text string
	eventually(t, "the audit log has all lines", func() bool {
		b, _ := os.ReadFile(path)
		text = string(b)
		for _, w := range want {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return true
	})
	if strings.Contains(text, `"cat"`) {
		t.Errorf("the log has the text of a command:\n%s", text)
	}
}

// TestAuditOfFiles checks that the audit log has what was done with files, and what was refused, but not what
// clients look for in vain.
func TestAuditOfFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log, path := openAudit(t)
	s := serve(t, func(set *settings) {
		set.Server.Audit = log
		set.Server.Restrict = func(_ access.Identity, p *rpc.ExecuteParams, spec *session.Spec) error {
			if spec.Directories = []string{dir}; strings.HasPrefix(string(p.Cwd), "/forbidden/") {
				return rpc.Forbidden("directories", "cwd")
			}
			return nil
		}
	})
	c := s.client()
	uri := func(name string) string { return "file://" + filepath.Join(dir, name) }
	c.mustCall("fs/createDirectory", map[string]any{"path": uri("made")}, nil)
	c.mustCall("fs/writeFile", map[string]any{"path": uri("made/a"), "dataBase64": "eA=="}, nil)
	c.mustCall("fs/writeFile", map[string]any{"path": uri("b"), "dataBase64": "eA=="}, nil)
	c.mustCall("fs/readFile", map[string]any{"path": uri("b")}, nil)
	c.mustCall("fs/open", map[string]any{"path": uri("b"), "handleId": "h", "mode": "replace"}, nil)
	c.mustCall("fs/copy", map[string]any{"sourcePath": uri("b"), "destinationPath": uri("c"), "recursive": false}, nil)
	c.mustCall("fs/remove", map[string]any{"path": uri("made")}, nil)
	c.mustCall("fs/getMetadata", map[string]any{"path": uri("b")}, nil)
	c.refused("fs/readFile", map[string]any{"path": uri("missing")}, -32004)
	c.refused("fs/readFile", map[string]any{"path": "file:///etc/hostname"}, -32004)
	c.refused("fs/createDirectory", map[string]any{"path": uri("b"), "recursive": false}, -32603)
	c.refused("fs/getMetadata", map[string]any{"path": "file:///forbidden/x"}, -32600)
	want := []string{
		"create_directory /made",
		"write /made/a",
		"write /b",
		"read /b",
		"copy /b /c",
		"remove /made",
		"read /etc/hostname  forbidden directories",
		"create_directory /b  file_failed",
		"access /forbidden/x  forbidden directories",
		"write /b", // a repeated one, at the end of the second
	}
	var got []string
	eventually(t, "the audit log has all lines", func() bool {
		got = auditedFiles(t, path, dir)
		return len(got) >= len(want)
	})
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// auditedFiles returns the events of files in an audit log, with the paths below dir relative to it.
func auditedFiles(t *testing.T, path, dir string) (all []string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var e struct {
			Event, Action, Path, To, Principal string
			Error                              struct {
				Kind, Rule string
			}
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Event == "file" {
			all = append(all, strings.TrimRight(strings.Join([]string{e.Action, strings.TrimPrefix(e.Path, dir), strings.TrimPrefix(e.To, dir), e.Error.Kind, e.Error.Rule}, " "), " "))
		}
	}
	return all
}

// TestAuditOfRefusals checks that the audit log has a read and a terminate that the policy does not permit, the
// terminate also while the process starts.
func TestAuditOfRefusals(t *testing.T) {
	t.Parallel()
	log, path := openAudit(t)
	s := serve(t, permitting(rpc.MethodExecute), func(set *settings) { set.Server.Audit = log })
	lines := func(event, action string) (n int) {
		text, _ := os.ReadFile(path)
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, `"event":"`+event+`","action":"`+action+`"`) && strings.Contains(line, `"rule":"methods"`) {
				n++
			}
		}
		return n
	}
	c := s.client()
	c.start("p", "true")
	c.ended("p")
	c.refused("process/read", map[string]any{"processId": "p"}, -32600)
	eventually(t, "the audit log has the read", func() bool { return lines("attach", "read") == 1 })
	started, refused := c.request("process/start", command("q", "sleep 100")), 0
	ended := c.request("process/terminate", map[string]any{"processId": "q"})
	for replies := 0; replies < 2; {
		if m := c.next(); m.Method == "" {
			replies++
			if m.Error != nil && string(m.ID) == ended {
				refused++
			} else if string(m.ID) != started || m.Error != nil {
				t.Errorf("%s %+v", m.Result, m.Error)
			}
		}
	}
	if refused != 1 {
		t.Error("the terminate was not refused")
	}
	eventually(t, "the audit log has the terminate", func() bool { return lines("control", "CANCEL") == 1 })
}
