//go:build linux

package main

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// TestMCPSandbox: the sandbox applies to all commands, in whatever directory, and cannot be left through
// another session.
func TestMCPSandbox(t *testing.T) {
	t.Parallel()
	needSandbox(t)
	p := newTestDir(t)
	p.serve(t)
	for _, dir := range []string{"work", "other"} {
		if err := os.Mkdir(p.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	free := p.mcpHost(t)
	shell := free.session("run_command", arguments{"command": "exec sh", "wait": 0, "name": "shell"})
	h := p.mcpHost(t, "--sandbox=workspace", "--cwd=work")
	if s := h.session("run_command", arguments{"command": "echo 1 >file && mkdir sub && cat file"}); s.Text != "1\n" || *s.ExitCode != 0 {
		t.Errorf("in the directory: %+v", s)
	}
	if s := h.session("run_command", arguments{"command": "echo 2 >../file; pwd", "cwd": "sub"}); s.Text != p.path("work/sub")+"\n" || *s.ExitCode != 0 {
		t.Errorf("below the directory: %+v", s)
	}
	if s := h.session("run_command", arguments{"command": "echo 3 >file", "cwd": p.path("other")}); *s.ExitCode == 0 {
		t.Errorf("in another directory: %+v", s)
	}
	if s := h.session("run_command", arguments{"command": "ln -s ../other link; cd link && echo 4 >file"}); *s.ExitCode == 0 {
		t.Errorf("through a link: %+v", s)
	}
	if s := h.session("run_command", arguments{"command": "echo 5 >file", "cwd": "link"}); *s.ExitCode == 0 {
		t.Errorf("in a directory that is a link: %+v", s)
	}
	if _, err := os.Stat(p.path("other/file")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file outside of the sandbox: %v", err)
	}
	for tool, args := range map[string]arguments{
		"read_output": {}, "write_stdin": {"data": "echo 6 >other/file\n"}, "send_signal": {"signal": "SIGINT"}, "stop_session": {},
	} {
		for _, id := range []string{"shell", shell.SessionID} {
			args["session_id"] = id
			h.fails(tool, args, "Session not found")
		}
	}
	var list struct {
		Sessions []mcpSession `json:"sessions"`
	}
	h.call("list_sessions", nil, &list)
	if len(list.Sessions) != 5 {
		t.Errorf("sessions: %+v", list)
	}
	own := h.session("run_command", arguments{"command": "cat", "wait": 0})
	h.call("write_stdin", arguments{"session_id": own.SessionID, "data": "mine\n"}, &struct{}{})
	h.readUntil(own, "mine\n")
}

// TestMCPSandboxDirectory: the tools reach no session whose sandbox is made for another directory. A
// host for the same directory reaches those with a name, also if its path has a symbolic link.
func TestMCPSandboxDirectory(t *testing.T) {
	t.Parallel()
	needSandbox(t)
	p := newTestDir(t)
	p.serve(t)
	for _, dir := range []string{"one", "two"} {
		if err := os.Mkdir(p.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("one", p.path("link")); err != nil {
		t.Fatal(err)
	}
	one := p.mcpHost(t, "--sandbox=workspace", "--cwd=link")
	shell := one.session("run_command", arguments{"command": "echo ready; exec sh", "wait": 0, "name": "shell"})
	one.readUntil(shell, "ready\n")
	two := p.mcpHost(t, "--sandbox=workspace", "--cwd=two")
	for tool, args := range map[string]arguments{
		"read_output": {}, "write_stdin": {"data": "echo >owned\n"}, "send_signal": {"signal": "SIGINT"}, "stop_session": {},
	} {
		for _, id := range []string{"shell", shell.SessionID} {
			args["session_id"] = id
			two.fails(tool, args, "Session not found")
		}
	}
	var list struct {
		Sessions []mcpSession `json:"sessions"`
	}
	two.call("list_sessions", nil, &list)
	if len(list.Sessions) != 0 {
		t.Errorf("sessions of another directory: %+v", list)
	}
	// The link is followed once: it does not make another directory writable later.
	if err := os.Remove(p.path("link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("two", p.path("link")); err != nil {
		t.Fatal(err)
	}
	if s := one.session("run_command", arguments{"command": "pwd; echo >../two/file"}); !strings.HasPrefix(s.Text, p.path("one")+"\n") || *s.ExitCode == 0 {
		t.Errorf("after the link was changed: %+v", s)
	}
	same := p.mcpHost(t, "--sandbox=workspace", "--cwd=one")
	same.call("write_stdin", arguments{"session_id": "shell", "data": "echo again\n"}, &struct{}{})
	same.readUntil(shell, "again\n")
	x := p.runnel(t, "mcp", "--sandbox=workspace", "--cwd=absent")
	x.expectExit(exitUsage)
	x.expectError("--cwd")
}
