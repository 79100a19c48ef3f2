package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
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
