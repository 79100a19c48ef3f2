package window_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/session/spool/window"
	"github.com/runnel-rpc/runnel/stream"
)

// TestTorn cuts the file at every length, and changes every byte of the newest write: what was written
// before is recovered, and nothing that was not written.
func TestTorn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "window")
	w, _ := open(t, disk.OS{}, path, 10)
	s := newSession(w, 1)
	s.event(t, "started")
	s.output(t, stream.Stdout, "first line\n")
	must(t, s.part.Flush())
	flushed := s.end
	before, err := os.ReadFile(path)
	must(t, err)
	s.output(t, stream.Stdout, "second line\n")
	s.output(t, stream.Stderr, "third line\n")
	must(t, s.part.Flush())
	after, err := os.ReadFile(path)
	must(t, err)
	copied := filepath.Join(dir, "copy")
	check := func(b []byte, from int) {
		t.Helper()
		must(t, os.WriteFile(copied, b, 0o600))
		w, all, err := window.Open(disk.OS{}, copied, 10)
		must(t, err)
		defer w.Close()
		if len(all) == 0 {
			if from >= len(before) {
				t.Errorf("%d bytes: nothing recovered", from)
			}
			return
		}
		end := all[0].End.Seq
		s.verify(t, all[0], 0, end)
		if from >= len(before) && end < flushed || end > s.end {
			t.Errorf("%d bytes: recovered up to %d", from, end)
		}
	}
	for n := range after {
		check(after[:n], n)
		bad := bytes.Clone(after)
		bad[n] ^= 4
		check(bad, n)
	}
}

// TestStaleContent writes the end of a block's earlier use so that it looks like a continuation.
func TestStaleContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "window")
	w, _ := open(t, disk.OS{}, path, 1)
	s := newSession(w, 1)
	for range 100 {
		s.output(t, stream.Stdout, strings.Repeat("x", 100))
	}
	must(t, s.part.Flush())
	s.part.ReleaseBefore(s.end)
	from := s.end
	for range 50 {
		s.output(t, stream.Stdout, strings.Repeat("y", 100))
	}
	must(t, s.part.Flush())
	_, all := crash(t, path)
	s.verify(t, all[1], from, s.end)
	if all[1].First.Seq != from {
		t.Errorf("recovered from %d on", all[1].First.Seq)
	}
}

func TestDamagedHeader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "window")
	w, _ := open(t, disk.OS{}, path, 10)
	s := newSession(w, 1)
	s.output(t, stream.Stdout, strings.Repeat("x", 180_000))
	must(t, s.part.Flush())
	b, err := os.ReadFile(path)
	must(t, err)
	b[window.BlockBytes+20]++
	must(t, os.WriteFile(path, b, 0o600))
	w, all, err := window.Open(disk.OS{}, path, 10)
	must(t, err)
	defer w.Close()
	if w.Damaged() != 1 || len(all) != 1 {
		t.Fatalf("%d blocks damaged, %d sessions", w.Damaged(), len(all))
	}
	var parts []int64
	must(t, all[0].Read(0, nil, func(first stream.Mark, items []stream.Item) error {
		parts = append(parts, first.Seq)
		return nil
	}))
	if len(parts) != 2 || parts[0] != 0 || parts[1] < window.BlockBytes || all[0].End.Seq != s.end {
		t.Errorf("recovered %v, end %v", parts, all[0].End)
	}
}

func TestForeign(t *testing.T) {
	path := filepath.Join(t.TempDir(), "window")
	must(t, os.WriteFile(path, bytes.Repeat([]byte("something else\n"), 20_000), 0o600))
	w, all := open(t, disk.OS{}, path, 10)
	if len(all) != 0 || w.Damaged() != 5 || w.Free() != 10 {
		t.Errorf("%d sessions, %d blocks damaged, %d free", len(all), w.Damaged(), w.Free())
	}
	s := newSession(w, 1)
	s.output(t, stream.Stdout, "x")
	must(t, s.part.Flush())
	_, recovered := crash(t, path)
	s.verify(t, recovered[1], 0, s.end)
}

// TestWriteFails checks that a part whose write has failed says so, that others continue, and that what
// was flushed before is recovered.
func TestWriteFails(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EROFS, syscall.EIO} {
		for _, room := range []int64{0, 10, 300} {
			faults := disk.NewFaults(disk.OS{})
			path := filepath.Join(t.TempDir(), "window")
			w, _ := open(t, faults, path, 10)
			a, b := newSession(w, 1), newSession(w, 2)
			a.output(t, stream.Stdout, "flushed")
			must(t, a.part.Flush())
			flushed := a.end
			faults.Limit(room, errno)
			a.output(t, stream.Stdout, strings.Repeat("x", 1000))
			b.event(t, "writes what a has added") // and a is told
			if err := a.part.Flush(); !errors.Is(err, errno) {
				t.Errorf("flush: %v", err)
			}
			if err := a.part.Add(&stream.Item{From: a.end, To: a.end + 1}, nil); !errors.Is(err, errno) {
				t.Errorf("add: %v", err)
			}
			_, all := crash(t, path)
			a.verify(t, all[1], 0, flushed)
			faults.Heal()
			must(t, b.part.Flush())
			_, all = crash(t, path)
			b.verify(t, all[2], 0, b.end)
			must(t, a.part.Close())
			if _, all = crash(t, path); all[1] != nil || w.Free() != 9 {
				t.Errorf("a closed part was recovered, or %d blocks are free", w.Free())
			}
		}
	}
}

// TestWriteFailsInside fails when an item of several blocks is added.
func TestWriteFailsInside(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	w, _ := open(t, faults, filepath.Join(t.TempDir(), "window"), 10)
	p := w.Session(1, stream.Mark{})
	faults.Limit(70_000, syscall.ENOSPC)
	it := stream.Item{To: 200_000, Kind: stream.PTY, Data: make([]byte, 200_000)}
	if err := p.Add(&it, nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("add: %v", err)
	}
	if err := p.Flush(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("flush: %v", err)
	}
	faults.Heal()
	must(t, p.Close())
	if w.Free() != 10 {
		t.Errorf("%d blocks free", w.Free())
	}
}

func TestCloseFails(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	path := filepath.Join(t.TempDir(), "window")
	w, _ := open(t, faults, path, 10)
	s := newSession(w, 1)
	s.output(t, stream.Stdout, strings.Repeat("x", 200_000))
	must(t, s.part.Flush())
	faults.Fail(disk.Write, syscall.EIO)
	if err := s.part.Close(); !errors.Is(err, syscall.EIO) || w.Free() != 10 {
		t.Errorf("%v, %d blocks free", err, w.Free())
	}
	w.Close()
	w, _ = open(t, faults, path, 10)
	if err := w.Reset(); !errors.Is(err, syscall.EIO) {
		t.Errorf("reset: %v", err)
	}
	faults.Heal()
	must(t, w.Reset())
	if w.Free() != 10 {
		t.Errorf("%d blocks free", w.Free())
	}
}

func TestOpenFails(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	path := filepath.Join(t.TempDir(), "window")
	must(t, os.WriteFile(path, make([]byte, 4096), 0o600))
	for _, o := range []disk.Operation{disk.Open, disk.Read} {
		faults.Fail(o, syscall.EIO)
		if _, _, err := window.Open(faults, path, 10); !errors.Is(err, syscall.EIO) {
			t.Errorf("operation %d: %v", o, err)
		}
		faults.Heal()
	}
}

// FuzzRecover opens an arbitrary file.
func FuzzRecover(f *testing.F) {
	path := filepath.Join(f.TempDir(), "window")
	w, _ := open(f, disk.OS{}, path, 10)
	s := newSession(w, 1)
	s.event(f, "started")
	s.output(f, stream.Stdout, "some output\n")
	must(f, s.part.Flush())
	b, err := os.ReadFile(path)
	must(f, err)
	f.Add(b)
	f.Add(append(append(bytes.Clone(b), make([]byte, window.BlockBytes-len(b))...), b...))
	f.Add([]byte("foreign"))
	f.Fuzz(func(t *testing.T, b []byte) {
		must(t, os.WriteFile(path, b, 0o600))
		w, all, err := window.Open(disk.OS{}, path, 2)
		must(t, err)
		defer w.Close()
		for _, r := range all {
			must(t, r.Read(0, nil, func(first stream.Mark, items []stream.Item) error {
				at := first.Seq
				for _, it := range items {
					if it.From != at || it.To < at {
						t.Fatalf("item %d to %d at %d", it.From, it.To, at)
					}
					at = it.To
				}
				if at > r.End.Seq || first.Seq < r.First.Seq {
					t.Fatalf("%d to %d is not in %v to %v", first.Seq, at, r.First, r.End)
				}
				return nil
			}))
		}
		must(t, w.Reset())
	})
}
