//go:build linux

package process

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPrepare checks that a start is prepared only if all files that it opens were executed
// recently and have not changed since.
func TestPrepare(t *testing.T) {
	h := openHost(t, Group)
	dir := t.TempDir()
	path := filepath.Join(dir, "program")
	write(t, path, "#!/bin/sh\nexit 3\n", 0o755)
	env := append([]string{"PATH=" + dir + "/none:" + dir}, testEnv...)
	for name, spec := range map[string]Spec{
		"path":        {Argv: []string{path}, Env: env},
		"name":        {Argv: []string{"program"}, Env: env},
		"directory":   {Argv: []string{"./program"}, Env: env, Dir: dir},
		"interpreted": sh("exit 3"),
	} {
		write(t, path, "#!/bin/sh\nexit 3\n", 0o755)
		if err := os.Chmod(path, 0o755); err != nil { // another ctime: the file in the cache is not this one
			t.Fatal(err)
		}
		if prepared(t, h, spec) && name != "interpreted" { // the shell may be in the cache already
			t.Errorf("%s: Prepare = true before the first start", name)
		}
		// The cache keeps a file for a second, in which the next start may not have begun.
		if !poll(func() bool { return prepared(t, h, spec) }) {
			t.Errorf("%s: Prepare = false after a start", name)
		}
		if name == "interpreted" {
			continue
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		a := h.Attempt(spec)
		if a.Prepare() {
			t.Errorf("%s: Prepare = true for a file that is not executable", name)
		}
		if _, err := a.Start(context.Background()); errnoOf(err) != unix.EACCES {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// prepared runs spec and returns the result of Prepare.
func prepared(t *testing.T, h *Host, spec Spec) bool {
	t.Helper()
	a := h.Attempt(spec)
	is := a.Prepare()
	p, err := a.Start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	_ = p.WaitExit()
	exit, err := p.Reap()
	finish(p)
	if err != nil || exit.Code != 3 {
		t.Errorf("exit %+v, %v", exit, err)
	}
	return is
}

// TestPrepareInterpreters checks that Prepare accepts chains of interpreters, even longer ones than
// the kernel follows.
func TestPrepareInterpreters(t *testing.T) {
	h := openHost(t, Group)
	dir := t.TempDir()
	previous := "/bin/sh"
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		path := filepath.Join(dir, name)
		write(t, path, "#!"+previous+"\nexit 3\n", 0o755)
		previous = path
		for range 3 {
			a := h.Attempt(Spec{Argv: []string{path}, Env: testEnv})
			_ = a.Prepare()
			if p, err := a.Start(context.Background()); err == nil {
				_ = p.WaitExit()
				finish(p)
			}
		}
	}
}
