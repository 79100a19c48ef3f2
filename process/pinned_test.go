//go:build linux

package process

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestExecutedFilesStayPinned checks that executed files stay open for the next start, unless they
// have changed, and for a bounded time.
func TestExecutedFilesStayPinned(t *testing.T) {
	h := openHost(t, Group)
	path := filepath.Join(t.TempDir(), "program")
	write(t, path, "#!/bin/sh\nexit 3\n", 0o755)
	pinned := h.pinned.Len
	run := func(code int) {
		t.Helper()
		if _, exit := runOn(t, h, Spec{Argv: []string{path}, Env: testEnv}); exit.Code != code {
			t.Errorf("exit %+v", exit)
		}
	}
	run(3)
	n := pinned()
	if n < 2 {
		t.Errorf("%d files are pinned, want at least 2", n)
	}
	run(3)
	if pinned() != n {
		t.Errorf("%d files are pinned after the second start, %d after the first", pinned(), n)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, "#!/bin/sh\nexit 4\n", 0o755)
	run(4)
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if !poll(func() bool { return pinned() == 0 }) {
		t.Errorf("%d files stay pinned", pinned())
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Errorf("a lease on a file that is not pinned: %v", err)
	}
}
