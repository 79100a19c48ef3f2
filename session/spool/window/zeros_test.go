package window_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/session/spool/window"
	"github.com/runnel-rpc/runnel/stream"
)

// Nothing of what a window had is in its file after Close of the part, and after Reset.
func TestZeros(t *testing.T) {
	path := filepath.Join(t.TempDir(), "window")
	w, _ := open(t, disk.OS{}, path, 100)
	long := newSession(w, 1)
	for range 20 {
		long.output(t, stream.Stdout, strings.Repeat("x", 10_000))
	}
	long.part.ReleaseBefore(100_000)
	must(t, long.part.Flush())
	short := newSession(w, 2) // in a block that had more
	short.output(t, stream.Stdout, "short")
	must(t, short.part.Flush())
	must(t, long.part.Close())
	must(t, short.part.Close())
	checkZeros(t, path)

	killed := newSession(w, 3)
	killed.output(t, stream.Stdout, strings.Repeat("y", window.BlockBytes))
	must(t, killed.part.Flush())
	must(t, w.Close())
	w, _ = open(t, disk.OS{}, path, 1) // a part of the file is cut off
	must(t, w.Reset())
	checkZeros(t, path)
}

func checkZeros(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	if n := len(bytes.TrimLeft(b, "\x00")); n > 0 {
		t.Errorf("%d of %d bytes begin with content", n, len(b))
	}
}
