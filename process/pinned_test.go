//go:build linux

package process

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What was executed stays open for the next start, unless it has changed, and not for long.
func TestExecutedFilesAreKeptOpen(t *testing.T) {
	h := openHost(t, Group)
	path := filepath.Join(t.TempDir(), "program")
	write(t, path, "#!/bin/sh\nexit 3\n", 0o755)
	held := h.pinned.Len
	life := func(code int) {
		t.Helper()
		if _, exit := lifeOn(t, h, Spec{Argv: []string{path}, Env: testEnv}); exit.Code != code {
			t.Errorf("%+v", exit)
		}
	}
	life(3)
	n := held()
	if n < 2 {
		t.Errorf("%d files", n)
	}
	life(3)
	if held() != n {
		t.Errorf("%d files, then %d", n, held())
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, "#!/bin/sh\nexit 4\n", 0o755)
	life(4)
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if !poll(func() bool { return held() == 0 }) {
		t.Errorf("%d files for ever", held())
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Errorf("a lease: %v", err)
	}
}
