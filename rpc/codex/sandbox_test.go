//go:build linux

package codex_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// special returns an entry of a sandbox.
func special(kind, access string) map[string]any {
	return map[string]any{"path": map[string]any{"type": "special", "value": map[string]string{"kind": kind}}, "access": access}
}

func boxed(dir, network string, entries ...map[string]any) map[string]any {
	return map[string]any{
		"permissions": map[string]any{
			"type": "managed", "network": network,
			"file_system": map[string]any{"type": "restricted", "entries": entries},
		},
		"cwd": "file://" + dir, "workspaceRoots": []string{"file://" + dir},
	}
}

// needsSandbox skips a test where the machine cannot enforce a sandbox for files and the network.
func needsSandbox(t *testing.T) {
	t.Helper()
	c := &sandbox.Config{FilesDefault: sandbox.Read, Network: sandbox.Network{Mode: sandbox.NoNetwork}}
	if _, err := host.EnforceSandbox(c); err == nil {
		return
	} else if strings.Contains(os.Getenv("RUNNEL_TEST_REQUIRE"), "bubblewrap") {
		t.Fatal(err)
	} else {
		t.Skip("no sandbox on this machine:", err)
	}
}

// TestSandboxHolds checks that the sandbox of a client is enforced for commands and for files.
func TestSandboxHolds(t *testing.T) {
	t.Parallel()
	needsSandbox(t)
	c := serve(t).client()
	project, outside := t.TempDir(), t.TempDir()
	for mode, box := range map[string]map[string]any{
		"workspace-write": boxed(project, "restricted", special("root", "read"), special("project_roots", "write")),
		"read-only":       boxed(project, "restricted", special("root", "read")),
	} {
		params := command(mode, "echo x >"+project+"/in; echo x >"+outside+"/out; cat "+project+"/in")
		params["cwd"], params["sandbox"] = "file://"+project, box
		var started struct{ SandboxType string }
		c.mustCall("process/start", params, &started)
		if started.SandboxType != "linuxSeccomp" {
			t.Errorf("%s: the sandbox is called %s", mode, started.SandboxType)
		}
		output, _ := c.ended(mode)
		if written := strings.Contains(output, "x\n"); written != (mode == "workspace-write") {
			t.Errorf("%s: %q", mode, output)
		}
		if _, err := os.Stat(filepath.Join(outside, "out")); err == nil {
			t.Errorf("%s: written outside", mode)
		}
		for _, file := range []string{outside + "/file", project + "/file"} {
			m := c.call("fs/writeFile", map[string]any{"path": "file://" + file, "dataBase64": "eA==", "sandbox": box})
			want := mode == "workspace-write" && strings.HasPrefix(file, project)
			if _, err := os.Stat(file); (err == nil) != want || (m.Error == nil) != want {
				t.Errorf("%s: %s: %v %+v", mode, file, err, m.Error)
			}
		}
		_ = os.Remove(project + "/file")
		_ = os.Remove(project + "/in")
	}
}

// TestSandboxNotMapped checks that nothing runs if a part of the sandbox is not known.
func TestSandboxNotMapped(t *testing.T) {
	t.Parallel()
	c := serve(t).client()
	dir := t.TempDir()
	root := special("root", "read")
	external := boxed(dir, "restricted", root)
	external["permissions"] = map[string]any{"type": "external", "network": "restricted"}
	glob := map[string]any{"path": map[string]any{"type": "glob_pattern", "pattern": "**/*.env"}, "access": "deny"}
	above := special("project_roots", "write")
	above["path"].(map[string]any)["value"] = map[string]string{"kind": "project_roots", "subpath": "../x"}
	for name, box := range map[string]map[string]any{
		"glob": boxed(dir, "restricted", root, glob), "external": external, "above": boxed(dir, "restricted", root, above),
		"minimal": boxed(dir, "restricted", special("minimal", "read")), "network": boxed(dir, "some", root),
		"access": boxed(dir, "restricted", special("root", "execute")),
	} {
		params := command(name, "echo x >"+dir+"/file")
		params["sandbox"] = box
		if text := c.refused("process/start", params, -32602); !strings.Contains(text, "disposable container or VM") {
			t.Errorf("%s: %s", name, text)
		}
		c.refused("fs/writeFile", map[string]any{"path": "file://" + dir + "/file", "dataBase64": "eA==", "sandbox": box}, -32602)
		if _, err := os.Stat(dir + "/file"); err == nil {
			t.Errorf("%s: the command has run", name)
		}
	}
}

// TestSandboxNotEnforceable checks that nothing runs where the machine cannot enforce the sandbox.
func TestSandboxNotEnforceable(t *testing.T) {
	t.Parallel()
	bare, err := process.Open(process.Options{Containment: "group", Bubblewrap: "/does/not/exist"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bare.Close() })
	c := serve(t, func(set *settings) { set.Session.Host = bare }).client()
	dir := t.TempDir()
	params := command("p", "echo x >"+dir+"/file")
	params["sandbox"] = boxed(dir, "restricted", special("root", "read"), special("project_roots", "write"))
	m := c.call("process/start", params)
	if m.Error == nil {
		t.Skip("the machine enforces it without bubblewrap")
	}
	if !strings.Contains(m.Error.Message, "disposable container or VM") {
		t.Error(m.Error.Message)
	}
	if _, err := os.Stat(dir + "/file"); err == nil {
		t.Error("the command has run")
	}
}
