package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// lockForTest locks a directory until the end of the test, like a server that is stopped during its
// start.
func lockForTest(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

func fifo(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestBlockedStartFails: a server or a client that would block on a lock or a FIFO fails with an
// error.
func TestBlockedStartFails(t *testing.T) {
	t.Parallel()
	serve := []string{"serve", "--listen=127.0.0.1:0"}
	for name, c := range map[string]struct {
		block   func(*testing.T, *testDir)
		args    []string
		message string
	}{
		"lock of the token": {func(t *testing.T, p *testDir) { lockForTest(t, p.path("runnel")) }, serve, "another process has held its lock"},
		"lock of the socket": {
			func(t *testing.T, p *testDir) { lockForTest(t, p.path("socket")) },
			append(serve, "--token-file=token", "--socket=socket/sock"), "another process has held its lock",
		},
		"token": {func(t *testing.T, p *testDir) { fifo(t, p.path("runnel/token")) }, serve, "token: not a regular file"},
		"state": {func(t *testing.T, p *testDir) { fifo(t, p.path("runnel/servers/runnel-0badcafe")) }, serve, "runnel-0badcafe: not a regular file"},
		"token of a client": {
			func(t *testing.T, p *testDir) { fifo(t, p.path("token")) },
			[]string{"ps", "--url=ws://127.0.0.1:1/ws", "--token-file=token"}, "token",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newTestDir(t)
			c.block(t, p)
			x := p.runnel(t, c.args...)
			x.expectExit(1)
			x.expectError(c.message)
		})
	}
}

// TestTokenFromAPipe: readToken reads from a pipe, and fails if nothing is written to it.
func TestTokenFromAPipe(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	path := fmt.Sprintf("/dev/fd/%d", r.Fd())
	if _, err := readToken(path); err == nil || !strings.Contains(err.Error(), "no token received") {
		t.Error(err)
	}
	_, _ = w.WriteString("secret\n")
	_ = w.Close()
	if token, err := readToken(path); err != nil || token != "secret" {
		t.Errorf("%q, %v", token, err)
	}
}

// awaitOpen waits until the program has opened a file.
func awaitOpen(t *testing.T, x *program, path string) {
	t.Helper()
	if !poll(func() bool {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", x.Process.Pid))
		return slices.ContainsFunc(fds, func(fd string) bool { to, _ := os.Readlink(fd); return to == path })
	}) {
		t.Fatalf("%s was not opened", path)
	}
}

// TestSignalEndsABlockedStart: SIGTERM ends a server that waits for a lock, before the lock's
// timeout, with status 0.
func TestSignalEndsABlockedStart(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	lockForTest(t, p.path("runnel"))
	x := p.runnel(t, "serve", "--listen=127.0.0.1:0")
	awaitOpen(t, x, p.path("runnel"))
	x.signal(syscall.SIGTERM)
	x.expectExit(0)
	if text := x.stderrText(); !strings.Contains(text, "shut down") || strings.Contains(text, "runnel:") {
		t.Errorf("stderr is %q", text)
	}
}

// TestSignalEndsAStartInABlockedCall: SIGTERM ends a server that waits, in a system call that
// cannot be canceled, for the keeper of a crashed server, which has locked the state file.
func TestSignalEndsAStartInABlockedCall(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	state := p.path("runnel/servers/runnel-0badcafe")
	if err := os.MkdirAll(filepath.Dir(state), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(state)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	x := p.runnel(t, "serve", "--listen=127.0.0.1:0")
	awaitOpen(t, x, state)
	x.signal(syscall.SIGTERM)
	x.expectExit(1)
	x.expectError("terminated by a signal while the start was blocked")
}
