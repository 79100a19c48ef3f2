//go:build linux

package main

import (
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"testing"
)

func codexChunk(seq int, data string) []byte {
	return text(fmt.Sprintf(`{"method":"process/output","params":{"processId":"p1","seq":%d,"stream":"stdout","chunk":"%s"}}`,
		seq, base64.StdEncoding.EncodeToString([]byte(data))))
}

func codexExited(seq, code int) []byte {
	return text(fmt.Sprintf(`{"method":"process/exited","params":{"processId":"p1","seq":%d,"exitCode":%d,"sandboxDenied":false}}`, seq, code))
}

func codexClosed(seq int) []byte {
	return text(fmt.Sprintf(`{"method":"process/closed","params":{"processId":"p1","seq":%d}}`, seq))
}

// TestAwaitClosed checks that the client counts output, and that it does not accept a missing notification.
func TestAwaitClosed(t *testing.T) {
	await := func(frames ...[]byte) (int64, error) {
		here, there := net.Pipe()
		defer here.Close()
		go func() {
			defer there.Close()
			for _, f := range frames {
				_, _ = there.Write(f)
			}
		}()
		c := codexConn{conn: &conn{Conn: here, frames: newFrameReader(here, smallBuffer)}}
		return c.awaitClosed()
	}
	started := text(`{"id":2,"result":{"processId":"p1","sandboxType":"none"}}`)
	for length := range 300 {
		data := strings.Repeat("x", length)
		n, err := await(started, codexChunk(1, data), codexChunk(2, data+"y"), codexExited(3, 0), codexClosed(4))
		if want := int64(2*length + 1); err != nil || n != want {
			t.Errorf("%d bytes instead of %d, %v", n, want, err)
		}
	}
	for name, frames := range map[string][][]byte{
		"missing output": {started, codexChunk(1, "x"), codexExited(3, 0), codexClosed(4)},
		"twice":          {started, codexChunk(1, "x"), codexChunk(1, "x"), codexExited(2, 0), codexClosed(3)},
		"exit code":      {started, codexExited(1, 1), codexClosed(2)},
		"no exit":        {started, codexClosed(1)},
		"error":          {text(`{"error":{"code":-32600,"message":"no"},"id":2}`), codexExited(1, 0), codexClosed(2)},
	} {
		if n, err := await(frames...); err == nil {
			t.Errorf("%s: no error, %d", name, n)
		}
	}
}

// TestCodex executes commands by the client of a server of this tree.
func TestCodex(t *testing.T) {
	b, err := newBench(t.Context(), &options{server: testedBinary(t), quick: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	var undo cleanup
	defer func() {
		if undo.run(&err); err != nil {
			t.Error(err)
		}
	}()
	s, err := b.startUntil(&undo, b.programs[0])
	if err != nil {
		t.Fatal(err)
	}
	c, err := dialCodex(&undo, s.address, "/codex", smallBuffer, quickAcks)
	if err != nil {
		t.Fatal(err)
	}
	file, err := b.lines(100, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.stream(file); err != nil {
		t.Error(err)
	}
	if n, err := c.execute("true"); n != 0 || err != nil {
		t.Error(n, err)
	}
	if _, err := c.execute("false"); err == nil {
		t.Error("no error of a command that failed")
	}
	if _, err := dialCodex(&undo, s.address, "/nothing", smallBuffer, direct); err == nil {
		t.Error("a path that is not served was opened")
	}
}
