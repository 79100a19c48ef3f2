//go:build linux

package process

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A start is prepared only if all that it opens was executed a moment ago and has not changed since.
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
		if err := os.Chmod(path, 0o755); err != nil { // another change of status: what is held is another file
			t.Fatal(err)
		}
		if prepared(t, h, spec) && name != "interpreted" { // the shell may be held for another one's sake
			t.Errorf("%s: prepared at once", name)
		}
		if !prepared(t, h, spec) {
			t.Errorf("%s: not prepared after a start", name)
		}
		if name == "interpreted" {
			continue
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		a := h.Attempt(spec)
		if a.Prepare() {
			t.Errorf("%s: prepared although it may not be executed", name)
		}
		if _, err := a.Start(context.Background()); errnoOf(err) != unix.EACCES {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// prepared starts spec and reports whether that was prepared.
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
		t.Errorf("%+v, %v", exit, err)
	}
	return is
}

// A program with a chain of interpreters as long as the kernel follows is not prepared, or is, but never panics.
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
