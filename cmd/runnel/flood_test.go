//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"
)

// statusValue returns a field of /proc/PID/status, in KiB if it is a size.
func statusValue(t *testing.T, pid int, name string) (n int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			_, _ = fmt.Sscan(value, &n)
			return n
		}
	}
	t.Fatalf("%s is not in the status of %d", name, pid)
	return 0
}

func openFiles(t *testing.T, pid int) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestFloodOfUnauthenticatedConnections: ten thousand unauthenticated connections use less than 16
// MiB and a bounded number of descriptors. An authenticated connection stays usable, and new ones
// are accepted on the Unix socket.
func TestFloodOfUnauthenticatedConnections(t *testing.T) {
	const (
		flood  = 10_000
		budget = 16 << 10 // KiB
	)
	p := newTestDir(t)
	server, ready := p.serve(t)
	pid := server.Process.Pid
	token, err := readToken(ready.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, ready.URL, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if _, _, err := ws.Read(ctx); err != nil {
		t.Fatal(err)
	}
	memory, files := statusValue(t, pid, "RssAnon"), openFiles(t, pid)
	address := strings.TrimSuffix(strings.TrimPrefix(ready.URL, "ws://"), "/ws")
	header := append([]byte("GET /ws HTTP/1.1\r\nX: "), bytes.Repeat([]byte("x"), 11<<10)...) // nearly the largest request that is read
	for i := range flood {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 {
			_, _ = c.Write(header)
		}
		if i%500 == 0 || i == flood-1 {
			if now := statusValue(t, pid, "RssAnon"); now-memory > budget && !raceDetector {
				t.Fatalf("%d connections: memory grew from %d to %d KiB", i, memory, now)
			}
			if now := openFiles(t, pid); now-files > 300 {
				t.Fatalf("%d connections: %d descriptors, %d before", i, now, files)
			}
		}
	}
	ps := p.runnel(t, "ps")
	ps.expectExit(0)
	_ = ws.Write(ctx, websocket.MessageText, []byte(`{"jsonrpc":"2.0","id":1,"method":"pong"}`))
	if _, text, err := ws.Read(ctx); err != nil || string(text) != `{"jsonrpc":"2.0","id":1,"result":null}` {
		t.Errorf("an authenticated connection: %q, %v", text, err)
	}
	server.awaitStderr("too many unauthenticated connections")
	t.Logf("memory grew from %d to %d KiB", memory, statusValue(t, pid, "RssAnon"))
}

// TestUnixSocketDuringAFloodWithFewDescriptors: unauthenticated connections do not use up the
// descriptors of a server with a low RLIMIT_NOFILE.
func TestUnixSocketDuringAFloodWithFewDescriptors(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server := p.start(t, "sh", "-c", "ulimit -n 64 && exec runnel serve --listen=127.0.0.1:0 --ready-file=ready")
	t.Cleanup(func() { server.signalUntilExit(syscall.SIGTERM) })
	var ready readyFile
	if !poll(func() bool { ready, _ = readReady(p.path("ready")); return ready.PID != 0 }) {
		t.Fatal("not ready:", server.stderrText())
	}
	address := strings.TrimSuffix(strings.TrimPrefix(ready.URL, "ws://"), "/ws")
	for range 200 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	x := p.runnel(t, "run", "echo", "hello")
	x.expectLine("hello")
	x.expectExit(0)
}
