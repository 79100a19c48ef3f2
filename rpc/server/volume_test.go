//go:build linux

package server_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// volume is the size of a large output in these tests.
func volume() int {
	if raceEnabled {
		return 8 << 20
	}
	return rounds(64, 200) << 20 // several times what all buffers between a command and a client hold
}

// TestLargeOutputIsComplete: one file over stdout and stderr at once. Each arrives unchanged,
// and before the record (which transcript checks).
func TestLargeOutputIsComplete(t *testing.T) {
	runParallel(t)
	path := filepath.Join(t.TempDir(), "file")
	want := writeNumbers(t, path, volume())
	p := serve(t).dial(t)
	sums := map[string]hash.Hash{"stdout": sha256.New(), "stderr": sha256.New()}
	x := &transcript{id: uuid.NewString(), hash: func(stream string, data []byte) { sums[stream].Write(data) }}
	p.good(p.call("execute", object{"session_id": x.id, "command": fmt.Sprintf("cat %s & cat %s >&2; wait", path, path)}))
	p.follow(x)
	for stream, sum := range sums {
		if got := hex.EncodeToString(sum.Sum(nil)); got != want {
			t.Errorf("%s: received %s of %s, %d bytes", stream, got, want, x.bytes[stream])
		}
	}
	if x.record.Output.LostBytes != 0 || x.record.Reason != "exited" {
		t.Errorf("%+v", x.record)
	}
}

// writeNumbers writes a file of different lines of many lengths, and returns its hash.
func writeNumbers(t *testing.T, path string, size int) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := sha256.New()
	var b strings.Builder
	for n, written := 0, 0; written < size; {
		b.Reset()
		for b.Len() < 1<<20 {
			n++
			fmt.Fprintf(&b, "%d é€😀 \"\\ %s\n", n, strings.Repeat("x", n%200))
		}
		written += b.Len()
		sum.Write([]byte(b.String()))
		if _, err := f.WriteString(b.String()); err != nil {
			t.Fatal(err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}
