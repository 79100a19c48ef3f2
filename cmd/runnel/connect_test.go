package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc/client"
)

func TestDialTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections, and sends nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	to := target{URL: "ws://" + l.Addr().String() + "/ws"}
	if _, err := to.connect(ctx, client.Options{}); err == nil || !strings.Contains(err.Error(), "no response") {
		t.Errorf("connect: %v", err)
	}
}

// TestTokenIsSentToLoopbackOnly: the token of the user's server is not sent to another host.
func TestTokenIsSentToLoopbackOnly(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("RUNNEL_SOCKET", "")
	made, err := ensureToken(context.Background(), filepath.Join(dir, "runnel", "token"))
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"ws://127.0.0.1:8003/ws":       made,
		"ws://localhost:8003/ws":       made,
		"ws://[::1]:8003/ws":           made,
		"ws://example.com:8003/ws":     "",
		"ws://localhost.example.com/w": "",
		"ws://10.0.0.1:8003/ws":        "",
	} {
		if got, _, err := (&target{URL: url}).token(); got != want || err != nil {
			t.Errorf("%s: %q, %v", url, got, err)
		}
	}
	foreign := filepath.Join(dir, "foreign")
	if err := os.WriteFile(foreign, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, file, err := (&target{URL: "ws://example.com/ws", TokenFile: foreign}).token(); got != "secret" || file != foreign || err != nil {
		t.Errorf("--token-file: %q, %v", got, err)
	}
}

// TestOtherSocket: a client with XDG_RUNTIME_DIR tries the default socket of a server without it, too, and
// the other way round, unless another user could have made it.
func TestOtherSocket(t *testing.T) {
	dir := t.TempDir()
	runtimeDirs = filepath.Join(dir, "run")
	t.Cleanup(func() { runtimeDirs = "/run/user" })
	t.Setenv("HOME", filepath.Join(dir, "home"))
	t.Setenv("RUNNEL_SOCKET", "")
	home := filepath.Join(dir, "home/.local/state/runnel/sock")
	runtime := filepath.Join(runtimeDirs, strconv.Itoa(os.Geteuid()), "runnel/sock")
	check := func(want ...string) {
		t.Helper()
		if got := userSockets(); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(dir, "elsewhere"))
	check(filepath.Join(dir, "elsewhere/runnel/sock"), home)
	t.Setenv("XDG_RUNTIME_DIR", "")
	check(home, runtime)
	if err := os.MkdirAll(filepath.Dir(runtime), 0o700); err != nil {
		t.Fatal(err)
	}
	check(home, runtime)

	for _, path := range []string{runtime, home} {
		if _, err := ensureToken(t.Context(), tokenPath(path)); err != nil {
			t.Fatal(err)
		}
		if got := userTokenFile(); got != tokenPath(path) {
			t.Errorf("token of %s, want that of %s", got, path)
		}
	}
	if got := userTokenFile(); got != tokenPath(home) {
		t.Errorf("token of %s, without a server", got)
	}
	l, err := net.Listen("unix", runtime)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := userTokenFile(); got != tokenPath(runtime) {
		t.Errorf("token of %s, with a server at %s", got, runtime)
	}

	if err := os.Chmod(filepath.Dir(runtime), 0o770); err != nil {
		t.Fatal(err)
	}
	check(home)
	if err := os.RemoveAll(filepath.Dir(runtime)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Dir(runtime)); err != nil {
		t.Fatal(err)
	}
	check(home)
	t.Setenv("RUNNEL_SOCKET", "/socket")
	check("/socket")
}
