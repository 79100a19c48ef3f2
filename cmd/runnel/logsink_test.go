package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// fullPipe returns a pipe whose buffer is full.
func fullPipe(t *testing.T) (reader, writer *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	raw, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var full error
	_ = raw.Control(func(fd uintptr) {
		for full == nil { // the descriptors of os.Pipe are nonblocking
			_, full = syscall.Write(int(fd), []byte("x"))
		}
		_ = syscall.SetNonblock(int(fd), false) // a process that inherits it expects that
	})
	if full != syscall.EAGAIN {
		t.Fatal(full)
	}
	return r, w
}

// TestLogWithABlockedSink: logging does not block. Lines that are not dropped are written in order,
// and the number of the dropped ones is written when the sink accepts data again.
func TestLogWithABlockedSink(t *testing.T) {
	t.Parallel()
	r, w := fullPipe(t)
	log, flush := newLog(w, "info", "json")
	const lines = 10_000
	for i := range lines {
		log.Info().Int("line", i).Msg(strings.Repeat("m", 100))
	}
	flush()                                                 // times out
	_ = r.SetReadDeadline(time.Now().Add(10 * time.Second)) // else the test would wait for missing lines
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	next, dropped := 0, 0
	for next < lines && in.Scan() { // lines may have been dropped more than once
		line := strings.TrimLeft(in.Text(), "x")
		var n int
		if _, err := fmt.Sscanf(line, `{"level":"warn","lines":%d,`, &n); err == nil {
			next, dropped = next+n, dropped+n
			continue
		}
		if _, err := fmt.Sscanf(line, `{"level":"info","line":%d,`, &n); err != nil || n != next {
			t.Fatalf("want line %d: %q", next, line)
		}
		next++
	}
	if next != lines || dropped == 0 || dropped == lines {
		t.Errorf("%d of %d lines were written or dropped, %d of them dropped", next, lines, dropped)
	}
}

// TestLogIsCompleteWithAWorkingSink: no line is dropped, and all are written when flush returns.
func TestLogIsCompleteWithAWorkingSink(t *testing.T) {
	for range 50 {
		var text strings.Builder
		log, flush := newLog(&text, "info", "json")
		for i := range 100 {
			log.Info().Int("line", i).Send()
		}
		flush()
		for i, line := range strings.Split(strings.TrimSpace(text.String()), "\n") {
			if !strings.Contains(line, fmt.Sprintf(`"line":%d,`, i)) {
				t.Fatalf("line %d: %s", i, line)
			}
		}
		if n := strings.Count(text.String(), "\n"); n != 100 {
			t.Fatalf("%d lines", n)
		}
	}
}

// TestServerWithABlockedLog: a server whose stderr is a full pipe refuses connections with a reply,
// accepts new connections after others were closed, and exits on SIGTERM.
func TestServerWithABlockedLog(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	_, stderr := fullPipe(t)
	x := p.prepare(t, "runnel", "serve", "--listen=127.0.0.1:0", "--ready-file=ready", "--log-level=debug", "--max-connections=2")
	x.Stderr = stderr
	x.startPrepared()
	var ready readyFile
	if !poll(func() bool { ready, _ = readReady(p.path("ready")); return ready.PID == x.Process.Pid }) {
		t.Fatal("not ready")
	}
	token, err := readToken(ready.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	dial := func(token string) (*websocket.Conn, *http.Response, error) {
		return websocket.Dial(ctx, ready.URL, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}})
	}
	for range 20 {
		if _, r, err := dial("wrong"); r == nil || r.StatusCode != http.StatusUnauthorized {
			t.Fatalf("a wrong token: %v", err)
		}
	}
	for range 10 {
		var conn *websocket.Conn
		if !poll(func() bool { conn, _, err = dial(token); return err == nil }) {
			t.Fatal("no connection after others were closed:", err)
		}
		if _, _, err := conn.Read(ctx); err != nil {
			t.Fatal(err)
		}
		_ = conn.CloseNow()
	}
	x.signal(syscall.SIGTERM)
	x.expectExit(0)
}
