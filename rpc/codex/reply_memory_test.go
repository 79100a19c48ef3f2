//go:build linux

package codex_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// heap returns the bytes of the heap that are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemoryOfClientsThatDoNotRead checks that the replies to clients of a principal that do not read
// stay within the share of the principal, whatever they ask for and on how many connections, and that
// other principals are served. It is not parallel, because it measures the heap.
func TestMemoryOfClientsThatDoNotRead(t *testing.T) {
	const share, slack = 160 << 20, 64 << 20 // maxReplyMemoryOfPrincipal, and the rest of the process
	dir := t.TempDir()
	large, small := filepath.Join(dir, "large"), filepath.Join(dir, "small")
	for name, size := range map[string]int64{large: 64 << 20, small: 512 << 10} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, size); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t)
	before := heap()
	for range 4 {
		c := s.connect("greedy")
		c.initialize("")
		for range 12 {
			c.request("fs/readFile", map[string]any{"path": "file://" + large})
		}
	}
	eventually(t, "a reply is made", func() bool { return heap() > before+(64<<20) })
	other := s.connect("other")
	other.initialize("")
	for range 10 {
		other.mustCall("fs/readFile", map[string]any{"path": "file://" + small}, nil)
		if used := heap() - before; used > share+slack {
			t.Fatalf("%d MiB are in use", used>>20)
		}
	}
}
