//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// auditLines returns the lines of an audit log, and how many others it has.
func auditLines(t *testing.T, path string) (lines []map[string]any, torn int) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var m map[string]any
		if json.Unmarshal(line, &m) != nil {
			torn++
			continue
		}
		lines = append(lines, m)
	}
	return lines, torn
}

func TestAuditFlags(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	if err := os.Symlink("nowhere", p.path("link")); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"--audit-required needs --audit": {"--audit-required"},
		"link is a symbolic link":        {"--audit", p.path("link")},
		"no such file or directory":      {"--audit", p.path("none/audit")},
	} {
		x := p.runnel(t, append([]string{"serve", "--listen=127.0.0.1:0"}, args...)...)
		<-x.done
		x.expectError(want)
	}
}

// TestAuditOfAServer: the lines of a whole run of a server.
func TestAuditOfAServer(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, _ := p.serve(t, "--audit", p.path("audit"))
	x := p.runnel(t, "run", "--", "sh", "-c", "exit 3", "secret")
	x.expectExit(3)
	server.signal(syscall.SIGTERM)
	server.expectExit(0)
	lines, _ := auditLines(t, p.path("audit"))
	var events []string
	for i, line := range lines {
		events = append(events, line["event"].(string))
		if line["seq"] != float64(i+1) {
			t.Errorf("line %d: %v", i+1, line)
		}
	}
	got := strings.Join(events, " ")
	for _, want := range []string{"start connection execute started ", " end ", " connection stop"} {
		if !strings.Contains(got, want) {
			t.Errorf("events %s, want%s", got, want)
		}
	}
	text, _ := os.ReadFile(p.path("audit"))
	if bytes.Contains(text, []byte("secret")) {
		t.Error("an argument is in the audit log")
	}
}

// TestAuditOnAFullFileSystem: with --audit-required, new sessions are refused while the file system
// is full, and accepted when it has room again. Sessions that run are not affected.
func TestAuditOnAFullFileSystem(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	dir := p.path("small")
	if err := errors.Join(os.Mkdir(dir, 0o700), syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k")); err != nil {
		t.Skip("needs a tmpfs: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	server, _ := p.serve(t, "--audit", dir+"/audit", "--audit-required")
	running := p.runnel(t, "run", "-c", readsLine)
	running.expectLine("ready")

	if err := os.WriteFile(dir+"/filler", make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal("the file system is not full: ", err)
	}
	if !poll(func() bool { // some lines fit into the last page of the file
		x := p.runnel(t, "run", "true")
		<-x.done
		return strings.Contains(x.stderrText(), "audit log cannot be written")
	}) {
		t.Fatal("sessions are not refused")
	}
	_, _ = running.in.Write([]byte("\n"))
	running.expectExit(3)

	if err := os.Remove(dir + "/filler"); err != nil {
		t.Fatal(err)
	}
	if !poll(func() bool {
		x := p.runnel(t, "run", "true")
		<-x.done
		return x.ProcessState.ExitCode() == 0
	}) {
		t.Fatal("sessions are still refused")
	}
	server.signal(syscall.SIGTERM)
	server.expectExit(0)
	checkExecutesHaveEnds(t, dir+"/audit")
}

// checkExecutesHaveEnds checks that no line is missing, and that each session has one execute and
// one end.
func checkExecutesHaveEnds(t *testing.T, path string) {
	t.Helper()
	lines, torn := auditLines(t, path)
	if torn > 1 {
		t.Errorf("%d lines are torn", torn)
	}
	open := map[any]bool{}
	for i, line := range lines {
		if line["seq"] != float64(i+1) {
			t.Fatalf("line %d: %v", i+1, line)
		}
		switch id := line["session_id"]; {
		case line["event"] == "execute" && line["error"] == nil:
			open[id] = true
		case line["event"] == "end":
			if !open[id] {
				t.Errorf("an end without an execute: %v", line)
			}
			delete(open, id)
		}
	}
	if len(open) > 0 {
		t.Errorf("%d sessions have no end", len(open))
	}
}

// TestAuditRotation: the file is renamed and opened again while commands run. No line is lost, and
// after the reload none is written to the old file.
func TestAuditRotation(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server := p.prepare(t, "runnel", "serve", "--listen=127.0.0.1:0", "--audit", p.path("audit"))
	server.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // without a controlling terminal
	server.startPrepared()
	server.awaitStderr("listening")
	all := p.path("all")
	for i := range 3 {
		for range 2 {
			p.runnel(t, "run", "true").expectExit(0)
		}
		old := p.path("audit." + strconv.Itoa(i))
		if err := os.Rename(p.path("audit"), old); err != nil {
			t.Fatal(err)
		}
		background := p.runnel(t, "run", "true")
		server.signal(syscall.SIGHUP)
		if !poll(func() bool {
			text, _ := os.ReadFile(p.path("audit"))
			return bytes.Contains(text, []byte(`"what":"audit"`))
		}) {
			t.Fatal("the file is not opened again: ", server.stderrText())
		}
		background.expectExit(0)
		appendFile(t, all, old)
	}
	server.signal(syscall.SIGTERM)
	server.expectExit(0)
	appendFile(t, all, p.path("audit"))
	checkExecutesHaveEnds(t, all)
	if lines, _ := auditLines(t, all); lines[len(lines)-1]["event"] != "stop" {
		t.Errorf("the last line is %v", lines[len(lines)-1])
	}
}

func appendFile(t *testing.T, to, from string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestAuditToABlockedPipe: without --audit-required, a pipe that is not read delays nothing.
func TestAuditToABlockedPipe(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	_, stdout := fullPipe(t)
	server := p.prepare(t, "runnel", "serve", "--listen=127.0.0.1:0", "--ready-file=ready", "--audit=-")
	server.Stdout = stdout
	server.startPrepared()
	server.awaitStderr("listening")
	for range 3 {
		p.runnel(t, "run", "true").expectExit(0)
	}
	server.signal(syscall.SIGTERM)
	server.expectExit(0)
	if text := server.stderrText(); !strings.Contains(text, `"message":"audit lines lost"`) {
		t.Error(text)
	}
}
