//go:build linux

package server_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
)

// TestSandboxFailed: a client is told in which step its sandbox failed, and the log has the rest.
func TestSandboxFailed(t *testing.T) {
	needsSandbox(t, "")
	real, err := exec.LookPath("bwrap")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	program, script := filepath.Join(dir, "bwrap"), filepath.Join(dir, "script")
	text := fmt.Sprintf("#!/bin/sh\nif test -e %[1]s; then . %[1]s; fi\nexec %[2]s \"$@\"\n", script, real)
	if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	h, err := process.Open(process.Options{Containment: process.Group, Bubblewrap: program})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	_ = h.SandboxSupport(t.Context()) // it keeps bwrap open
	log := &errorLog{}
	s := serve(t, func(set *settings) {
		set.Session.Host, set.Session.Log, set.Session.StartTimeout = h, zerolog.New(log), 500*time.Millisecond
	})
	p := s.dial(t)
	for _, c := range []struct{ script, errno, message string }{
		{"echo it cannot >&2; exit 1", "", "The sandbox cannot be made: making the namespaces failed"},
		{"echo it waits >&2; exec sleep 1000", "ETIMEDOUT", "The sandbox cannot be made: making the namespaces took too long"},
	} {
		if err := os.WriteFile(script, []byte(c.script), 0o644); err != nil {
			t.Fatal(err)
		}
		e := p.fails(rpc.CodeSpawnFailed, "execute", object{"command": "true", "cwd": "/", "sandbox": "read-only"})
		errno, _ := e.Data["errno"].(string)
		if e.Message != c.message || e.Data["kind"] != "sandbox_failed" || e.Data["step"] != "making the namespaces" || errno != c.errno || e.Data["path"] != nil {
			t.Errorf("%+v", e)
		}
		printed, _, _ := strings.Cut(strings.TrimPrefix(c.script, "echo "), " >")
		eventually(t, "it is logged", func() bool { return strings.Contains(log.text(), printed) })
	}
	if text := log.text(); strings.Count(text, "sandbox not made") != 2 || strings.Count(text, program) != 2 {
		t.Errorf("logged: %s", text)
	}
}
