package window_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/stream"
)

// TestSkip continues a part behind what was stored elsewhere, with and without something in the buffer.
func TestSkip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "window")
	w, _ := open(t, disk.OS{}, path, 10)
	s := newSession(w, 1)
	for _, flush := range []bool{true, false} {
		s.output(t, stream.Stdout, strings.Repeat("x", 100_000))
		if flush {
			must(t, s.part.Flush())
		}
		s.skip(1000)
		if w.Free() != 10 {
			t.Errorf("%d blocks free", w.Free())
		}
		from := s.end
		s.event(t, "after it")
		s.output(t, stream.Stdout, "more")
		must(t, s.part.Flush())
		_, all := crash(t, path)
		s.verify(t, all[1], from, s.end)
		if all[1].End != (stream.Mark{Seq: s.end, Events: s.events}) {
			t.Errorf("recovered up to %v", all[1].End)
		}
	}
	must(t, s.part.Close())
	if _, all := crash(t, path); len(all) != 0 || w.Free() != 10 {
		t.Errorf("%d sessions recovered after Close, %d blocks free", len(all), w.Free())
	}
}
