//go:build linux

package codex_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/rpc/server"
)

// TestAudit checks that the audit log has the connection, the start, the first write, the signal and the end
// of a process, and what was refused.
func TestAudit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit")
	log, err := audit.Open(audit.Options{Target: path})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, func(set *settings) {
		set.Server.Audit = log
		set.Session.OnRunning, set.Session.OnEnded, set.Session.OnDestination = server.AuditSessions(log)
	})
	t.Cleanup(func() { log.Close() })
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
	if strings.Contains(text, "cat") && !strings.Contains(text, `"program":"/bin/sh"`) {
		t.Errorf("the program is not named:\n%s", text)
	}
}
