package policy

import (
	"slices"
	"testing"
)

// TestWarnings: only the sections that permit execute are remarkable.
func TestWarnings(t *testing.T) {
	p, err := Parse("policy", []byte("[default]\n[principal.ops]\nmethods = ['list']\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"default.programs: is empty, and no shell is permitted: nothing can be executed",
		"default.directories: is empty: nothing can be executed",
		"default.user: is not set: commands run as the server's own user, and may read and signal what the server may",
	}
	if all := p.Warnings(); !slices.Equal(all, want) {
		t.Errorf("%q", all)
	}
}

// TestLaunchers: the names of launchers are recognized with and without a version or a variant.
func TestLaunchers(t *testing.T) {
	for name, want := range map[string]bool{
		"make": true, "python3.12": true, "lua5.4": true, "vim-basic": true, "start-stop-daemon": true, "systemd-run": true,
		"id": false, "makeinfo": false, "systemd-escape": false,
	} {
		if isLauncher(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}
