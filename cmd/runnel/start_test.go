package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// soon is how long a start may take to fail.
const soon = 5 * time.Second

// locked holds the lock of a directory until the test's end, as a server does that is stopped while it starts.
func locked(t *testing.T, dir string) {
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

// TestBlockedStartFails: a server that would wait for a lock or a FIFO says so and ends, and so does a client.
func TestBlockedStartFails(t *testing.T) {
	serve := []string{"serve", "--listen=127.0.0.1:0"}
	for name, c := range map[string]struct {
		block func(*testing.T, *place)
		args  []string
		says  string
	}{
		"lock of the token": {func(t *testing.T, p *place) { locked(t, p.path("runnel")) }, serve, "another process has held its lock"},
		"lock of the socket": {
			func(t *testing.T, p *place) { locked(t, p.path("socket")) },
			append(serve, "--token-file=token", "--socket=socket/sock"), "another process has held its lock",
		},
		"token": {func(t *testing.T, p *place) { fifo(t, p.path("runnel/token")) }, serve, "token: not a regular file"},
		"state": {func(t *testing.T, p *place) { fifo(t, p.path("runnel/servers/runnel-0badcafe")) }, serve, "runnel-0badcafe: not a regular file"},
		"token of a client": {
			func(t *testing.T, p *place) { fifo(t, p.path("token")) },
			[]string{"ps", "--url=ws://127.0.0.1:1/ws", "--token-file=token"}, "token",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			c.block(t, p)
			begun := time.Now()
			x := p.runnel(t, c.args...)
			x.exits(1)
			if took := time.Since(begun); took > soon {
				t.Errorf("it took %v", took)
			}
			x.says(c.says)
		})
	}
}

// TestTokenFromAPipe: a client reads its token from a pipe, and does not wait for one that never comes.
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

// opens waits until the program has opened a file.
func opens(t *testing.T, x *program, path string) {
	t.Helper()
	if !poll(func() bool {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", x.Process.Pid))
		return slices.ContainsFunc(fds, func(fd string) bool { to, _ := os.Readlink(fd); return to == path })
	}) {
		t.Fatalf("%s is not opened", path)
	}
}

// TestSignalEndsABlockedStart: SIGTERM ends a server that waits for a lock, before the lock's deadline and in order.
func TestSignalEndsABlockedStart(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	locked(t, p.path("runnel"))
	x := p.runnel(t, "serve", "--listen=127.0.0.1:0")
	opens(t, x, p.path("runnel"))
	x.signal(syscall.SIGTERM)
	x.exits(0)
	if said := x.errors(); !strings.Contains(said, "shut down") || strings.Contains(said, "runnel:") {
		t.Errorf("stderr is %q", said)
	}
}

// TestSignalEndsAStartThatCannotBeGivenUp: SIGTERM ends a server that waits for the keeper of a dead one, which has the
// state file of that one locked.
func TestSignalEndsAStartThatCannotBeGivenUp(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
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
	opens(t, x, state)
	begun := time.Now()
	x.signal(syscall.SIGTERM)
	x.exits(1)
	x.says("terminated by a signal while the start was blocked")
	if took := time.Since(begun); took > soon {
		t.Errorf("it took %v", took)
	}
}
