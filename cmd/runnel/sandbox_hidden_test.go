package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestHiddenPaths: what the server keeps secret is hidden, by absolute paths.
func TestHiddenPaths(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("HOME", dir+"/home")
	t.Setenv("RUNNEL_SOCKET", "")
	t.Setenv("STATE_DIRECTORY", dir+"/kept")
	t.Chdir(dir)
	c := &serveCmd{Listen: []string{"127.0.0.1:1", "unix:proxy.sock"}, Socket: dir + "/s/own.sock"}
	c.TokenFile, c.Tokens, c.Principals, c.Policy, c.TLSKey = dir+"/s/token", "tokens", "principals", "policy", "key"
	c.Audit, c.StateDir, c.SandboxProfiles, c.SpoolDir = "audit", defaultStateDir(), "profiles", "output"
	var want []string
	for _, name := range []string{"audit", "home/.local/state/runnel", "kept/spool", "key", "output", "policy", "principals", "profiles", "proxy.sock", "runnel", "s/own.sock", "s/token", "tokens"} {
		want = append(want, filepath.Join(dir, name))
	}
	if got := c.hiddenFiles(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q, want %q", got, want)
	}
	c.TLSCert, c.TLSClientCA, c.ReadyFile, c.JWTJWKS = "cert", "ca", "ready", "https://issuer.example.org/keys"
	if got, want := strings.Join(c.readOnlyFiles(), " "), dir+"/ca "+dir+"/cert "+dir+"/ready"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if c.JWTJWKS = "jwks"; !slices.Contains(c.readOnlyFiles(), dir+"/jwks") {
		t.Errorf("%q", c.readOnlyFiles())
	}
	c.Audit = "syslog"
	if got := strings.Join(c.hiddenFiles(), "\n"); strings.Contains(got, "syslog") {
		t.Errorf("%q", got)
	}
	if got := absolutePaths([]string{"/a/b", "", "/a-b", "/a", "/a/"}); strings.Join(got, " ") != "/a /a-b" {
		t.Errorf("%q", got)
	}
}
