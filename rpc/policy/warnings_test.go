package policy

import "testing"

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
