//go:build linux

package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// TestLongLines guards against long lines that are lost, divided or counted wrongly: lines at, just
// below and just above max_line_bytes, with and without a newline.
func TestLongLines(t *testing.T) {
	runParallel(t)
	s := serve(t)
	p := s.dial(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "lines")
	for _, bound := range []int{1, 10, 1 << 16, 1 << 20} {
		for _, more := range []int{-1, 0, 1, 5000} {
			for _, newline := range []bool{false, true} {
				n := bound + more
				if n == 0 || bound == 1<<20 && (more < 0 || more > 1 || !newline) {
					continue
				}
				line := strings.Repeat("x", n)
				content := "first\n" + line
				if bound < 5 {
					content = line
				}
				if newline {
					content += "\nlast\n"
					if bound < 5 {
						content = line + "\ny\n"
					}
				}
				if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				params := object{"command": []string{"cat", file}, "max_line_bytes": bound}
				if bound == 1<<20 {
					delete(params, "max_line_bytes") // the default
				}
				x := p.run(params)
				want := content
				truncated, dropped := int64(0), int64(0)
				if n > bound {
					want = strings.Replace(content, line, line[:bound]+"...", 1)
					truncated, dropped = 1, int64(n-bound)
				}
				if x.stdout() != want {
					t.Errorf("bound %d, line %d, newline %v: received %d bytes of %d", bound, n, newline, len(x.stdout()), len(want))
				}
				o := x.record.Output
				if o.TruncatedLines != truncated || o.DroppedBytes != dropped || o.StdoutBytes != int64(len(content)) {
					t.Errorf("bound %d, line %d, newline %v: %+v", bound, n, newline, o)
				}
				checkFlags(t, x, truncated == 1, newline, dropped)

				params["overflow"] = "split"
				if x = p.run(params); x.stdout() != content || x.record.Output.TruncatedLines != 0 {
					t.Errorf("split, bound %d, line %d, newline %v: received %d bytes of %d", bound, n, newline, len(x.stdout()), len(content))
				}
			}
		}
	}
}

// checkFlags checks how a truncated line is marked.
func checkFlags(t *testing.T, x *transcript, truncated, newline bool, dropped int64) {
	t.Helper()
	flagged, reported := 0, int64(0)
	for _, o := range x.outputs {
		if o.Truncated {
			flagged++
			if !o.Partial || !strings.HasSuffix(o.Data, "...") {
				t.Errorf("truncated, partial %v: …%q", o.Partial, o.Data[max(0, len(o.Data)-10):])
			}
		}
		if o.DroppedBytes > 0 && o.Data[0] != '\n' {
			t.Errorf("dropped_bytes with %q", o.Data)
		}
		reported += o.DroppedBytes
		if whole := strings.HasSuffix(o.Data, "\n"); whole == o.Partial {
			t.Errorf("partial %v: …%q", o.Partial, o.Data[max(0, len(o.Data)-10):])
		}
	}
	if (flagged == 1) != truncated || newline && reported != dropped {
		t.Errorf("%d lines flagged, %d dropped bytes reported of %d", flagged, reported, dropped)
	}
}

// TestEndlessLine guards against memory that grows with the length of a line: one of 100 MB needs
// no more than one of a kilobyte.
func TestEndlessLine(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	const size = 100000000
	for _, overflow := range []string{"truncate", "split"} {
		n := size
		if raceEnabled && overflow == "split" {
			n = size / 10 // the client gets all of it
		}
		x := &transcript{id: uuid.NewString()}
		if overflow == "split" {
			x.hash = func(string, []byte) {}
		}
		flat(t, 8<<20, func() {
			p.good(p.call("execute", object{"command": fmt.Sprintf(`head -c %d /dev/zero | tr '\0' x; echo; echo after`, n),
				"overflow": overflow, "session_id": x.id, "max_line_bytes": 100000}))
			p.follow(x)
		})
		o := x.record.Output
		if x.record.Status != "completed" || o.StdoutBytes != int64(n)+7 {
			t.Errorf("%s: %+v", overflow, x.record)
		}
		switch overflow {
		case "truncate":
			if want := strings.Repeat("x", 100000) + "...\nafter\n"; x.stdout() != want || o.TruncatedLines != 1 || o.DroppedBytes != int64(n)-100000 {
				t.Errorf("%d bytes, %+v", len(x.stdout()), o)
			}
			checkFlags(t, x, true, true, int64(n)-100000)
		case "split":
			if x.bytes["stdout"] != int64(n)+7 || o.TruncatedLines != 0 || o.DroppedBytes != 0 {
				t.Errorf("%d bytes, %+v", x.bytes["stdout"], o)
			}
		}
	}
}
