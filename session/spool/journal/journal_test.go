package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// found is an entry that Scan returned, with its blob.
type found struct {
	At Position
	Entry
}

func open(t testing.TB, dir string, files disk.Files, o Options) *Journal {
	t.Helper()
	j, err := Open(dir, files, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

// scan returns all entries, and what else was found.
func scan(t testing.TB, j *Journal) ([]found, *Report) {
	t.Helper()
	var all []found
	blobs := map[Position]int{}
	r, err := j.Scan(func(at Position, typ Type, key int64, meta []byte, blob int) error {
		all = append(all, found{at, Entry{Type: typ, Key: key, Meta: bytes.Clone(meta)}})
		blobs[at] = blob
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		b, err := j.ReadBlob(all[i].At)
		if err != nil || len(b) != blobs[all[i].At] {
			t.Fatalf("blob of %v: %d of %d bytes, %v", all[i].At, len(b), blobs[all[i].At], err)
		}
		all[i].Blob = b
	}
	return all, r
}

// unsynced are files without Sync, which makes tests slow.
type unsynced struct{ disk.OS }

type unsyncedFile struct{ disk.File }

func (u unsynced) OpenFile(path string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := u.OS.OpenFile(path, flag, perm)
	return unsyncedFile{f}, err
}

func (unsynced) SyncDir(string) error { return nil }

func (unsyncedFile) Sync() error { return nil }

// reopen scans a directory with a new journal.
func reopen(t testing.TB, dir string) (*Journal, []found, *Report) {
	t.Helper()
	j := open(t, dir, unsynced{}, Options{})
	all, r := scan(t, j)
	return j, all, r
}

// begun returns a journal in an empty directory.
func begun(t testing.TB, files disk.Files, o Options) (*Journal, string) {
	t.Helper()
	dir := t.TempDir()
	j := open(t, dir, files, o)
	scan(t, j)
	return j, dir
}

func appendTo(t testing.TB, j *Journal, entries ...Entry) []found {
	t.Helper()
	at, err := j.Append(entries)
	if err != nil {
		t.Fatal(err)
	}
	var all []found
	for i := range entries {
		all = append(all, found{at[i], entries[i]})
	}
	return all
}

// entry returns one whose parts depend on key, with lengths of all remainders of the alignment.
func entry(key int64) Entry {
	return Entry{
		Type: Start + Type(key%3), Key: key,
		Meta: fmt.Appendf(nil, `{"key":%d,"pad":%q}`, key, bytes.Repeat([]byte{'m'}, int(key%67))),
		Blob: bytes.Repeat([]byte{byte(key)}, int(key*7%300)),
	}
}

func equal(t testing.TB, got, want []found) {
	t.Helper()
	same := func(a, b []byte) bool { return bytes.Equal(a, b) }
	if d := cmp.Diff(want, got, cmp.Comparer(same)); d != "" {
		t.Fatalf("entries (-want +got):\n%s", d)
	}
}

func clean(t testing.TB, r *Report) {
	t.Helper()
	if d := cmp.Diff(&Report{}, r); d != "" {
		t.Fatalf("report: %s", d)
	}
}

func path(dir string, id uint32) string { return filepath.Join(dir, segmentName(id)) }

func TestScan(t *testing.T) {
	j, dir := begun(t, disk.OS{}, Options{SegmentBytes: 4096})
	var want []found
	for key := int64(1); key < 200; key += 4 {
		want = append(want, appendTo(t, j, entry(key))...)
		want = append(want, appendTo(t, j, entry(key+1), entry(key+2), Entry{Type: Removed, Key: -key})...)
	}
	for _, w := range want {
		if meta, err := j.ReadMeta(w.At); err != nil || !bytes.Equal(meta, w.Meta) {
			t.Fatalf("meta of %v: %q, %v", w.At, meta, err)
		}
		if blob, err := j.ReadBlob(w.At); err != nil || !bytes.Equal(blob, w.Blob) {
			t.Fatalf("blob of %v: %q, %v", w.At, blob, err)
		}
	}
	if n := len(j.Segments()); n < 5 {
		t.Errorf("%d segments", n)
	}
	for _, s := range j.Segments() {
		info, err := os.Lstat(path(dir, s.ID))
		if err != nil || info.Mode() != 0o600 || info.Size() != s.Bytes || s.Bytes > 4096 {
			t.Errorf("segment %+v: %v, %v", s, info, err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j2, got, r := reopen(t, dir)
	clean(t, r)
	equal(t, got, want)
	more := appendTo(t, j2, entry(1000))
	if last := want[len(want)-1].At.Segment; more[0].At.Segment != last {
		t.Errorf("appended to segment %d, not to %d", more[0].At.Segment, last)
	}
	_, got, r = reopen(t, dir)
	clean(t, r)
	equal(t, got, append(want, more...))
}

// TestLargest checks entries at the bounds, between small ones.
func TestLargest(t *testing.T) {
	j, dir := begun(t, disk.OS{}, Options{})
	large := Entry{Type: Record, Key: 2, Meta: bytes.Repeat([]byte("meta"), MaxMeta/4), Blob: bytes.Repeat([]byte("blob"), MaxBlob/4)}
	want := appendTo(t, j, entry(1), large, entry(3), large, Entry{Type: Removed, Key: 4}, large)
	for _, e := range []Entry{{Type: Start, Meta: make([]byte, MaxMeta+1)}, {Type: Start, Blob: make([]byte, MaxBlob+1)}} {
		if _, err := j.Append([]Entry{entry(1), e}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%v", err)
		}
	}
	if _, err := j.Append(slices.Repeat([]Entry{large}, MaxSegmentBytes/(MaxMeta+MaxBlob)+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
	for _, typ := range []Type{0, 4, erasing, erased} {
		if _, err := j.Append([]Entry{entry(1), {Type: typ}}); !errors.Is(err, ErrType) {
			t.Errorf("%v: %v", typ, err)
		}
	}
	if at, err := j.Append(nil); at != nil || err != nil {
		t.Errorf("%v, %v", at, err)
	}
	_, got, r := reopen(t, dir)
	clean(t, r)
	equal(t, got, want)
}

func TestSegments(t *testing.T) {
	j, dir := begun(t, disk.OS{}, Options{})
	one := appendTo(t, j, entry(1))
	for range 2 { // the second has no effect
		if err := j.NewSegment(); err != nil {
			t.Fatal(err)
		}
	}
	two := appendTo(t, j, entry(2))
	want := []SegmentInfo{{ID: 1, Bytes: headerSize + one[0].size()}, {ID: 2, Bytes: headerSize + two[0].size(), Current: true}}
	if d := cmp.Diff(want, j.Segments()); d != "" {
		t.Error(d)
	}
	if err := j.Remove(2); !errors.Is(err, ErrCurrent) {
		t.Errorf("remove the current segment: %v", err)
	}
	if err := j.Remove(1); err != nil {
		t.Error(err)
	}
	if err := j.Remove(1); !errors.Is(err, ErrNotFound) {
		t.Errorf("remove a segment twice: %v", err)
	}
	if _, err := j.ReadMeta(one[0].At); !errors.Is(err, ErrNotFound) {
		t.Errorf("read from a removed segment: %v", err)
	}
	if err := j.Erase(one[0].At); !errors.Is(err, ErrNotFound) {
		t.Errorf("erase in a removed segment: %v", err)
	}
	if err := j.Sync(); err != nil {
		t.Error(err)
	}
	_, got, r := reopen(t, dir)
	clean(t, r)
	equal(t, got, two)
}

func TestPositions(t *testing.T) {
	j, _ := begun(t, disk.OS{}, Options{})
	e := Entry{Type: Start, Meta: make([]byte, 200)}
	at := appendTo(t, j, e)[0].At
	for _, p := range []Position{
		{}, {Segment: 9, Offset: at.Offset}, {Segment: 1}, {Segment: 1, Offset: at.Offset + 1}, {Segment: 1, Offset: -64},
		{Segment: 1, Offset: at.Offset + e.size()}, {Segment: 1, Offset: 1 << 62},
	} {
		if _, err := j.ReadMeta(p); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v: %v", p, err)
		}
	}
	if _, err := j.ReadMeta(Position{Segment: 1, Offset: at.Offset + align}); !errors.Is(err, ErrDamaged) {
		t.Errorf("inside of an entry: %v", err)
	}
}

func TestForeign(t *testing.T) {
	j, dir := begun(t, disk.OS{}, Options{})
	want := appendTo(t, j, entry(1))
	whole, err := os.ReadFile(path(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	other := append([]byte("RUNNELJ2"), make([]byte, 120)...)
	seal((*[headerSize]byte)(other))
	files := map[string][]byte{
		"journal-00000007":     whole,                          // a copy
		"journal-00000008":     bytes.Repeat([]byte("x"), 200), // of another program
		"journal-00000010":     other,                          // of a later version
		"journal-8":            whole,
		"journal-000000009":    []byte("x"),
		"journal-00000001.bak": whole,
		"journal-":             nil,
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "key"), nil, 0o600); err != nil { // none of the journal's business
		t.Fatal(err)
	}
	if err := os.Mkdir(path(dir, 11), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path(dir, 1), path(dir, 12)); err != nil {
		t.Fatal(err)
	}
	j2, got, r := reopen(t, dir)
	equal(t, got, want)
	names := []string{segmentName(11), segmentName(12)}
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Sort(r.Foreign)
	if d := cmp.Diff(&Report{Foreign: names}, r); d != "" {
		t.Errorf("report: %s", d)
	}
	if err := j2.NewSegment(); err != nil {
		t.Fatal(err)
	}
	if at := appendTo(t, j2, entry(2))[0].At; at.Segment != 13 {
		t.Errorf("appended to %v", at)
	}
	for name, want := range files {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(b, want) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

func TestClosed(t *testing.T) {
	j, _ := begun(t, disk.OS{}, Options{})
	at := appendTo(t, j, entry(1))[0].At
	for range 2 {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, appended := j.Append([]Entry{entry(1)})
	_, read := j.ReadBlob(at)
	for i, err := range []error{appended, read, j.Erase(at), j.Sync(), j.NewSegment(), j.Remove(1)} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestScanOnce(t *testing.T) {
	none := func(Position, Type, int64, []byte, int) error { return nil }
	j, dir := begun(t, disk.OS{}, Options{})
	if _, err := j.Scan(none); !errors.Is(err, ErrStarted) {
		t.Errorf("second scan: %v", err)
	}
	appendTo(t, j, entry(1), entry(2))
	stop := errors.New("stop")
	n := 0
	_, err := open(t, dir, disk.OS{}, Options{}).Scan(func(Position, Type, int64, []byte, int) error { n++; return stop })
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("%d entries, %v", n, err)
	}
	j = open(t, dir, disk.OS{}, Options{})
	appendTo(t, j, entry(3))
	if _, err := j.Scan(none); !errors.Is(err, ErrStarted) {
		t.Errorf("scan after append: %v", err)
	}
}

// counted are files that count how many are open.
type counted struct {
	unsynced
	open *atomic.Int64
}

type countedFile struct {
	disk.File
	open *atomic.Int64
}

func (c counted) OpenFile(path string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := c.unsynced.OpenFile(path, flag, perm)
	if err != nil {
		return nil, err
	}
	c.open.Add(1)
	return countedFile{f, c.open}, nil
}

func (f countedFile) Close() error {
	f.open.Add(-1)
	return f.File.Close()
}

func TestOpenFiles(t *testing.T) {
	files := counted{open: &atomic.Int64{}}
	j, _ := begun(t, files, Options{SegmentBytes: 256})
	var all []found
	for range 3 * maxOpen {
		all = append(all, appendTo(t, j, entry(40))...)
	}
	for range 2 {
		for _, f := range all {
			if meta, err := j.ReadMeta(f.At); err != nil || !bytes.Equal(meta, f.Meta) {
				t.Fatalf("%v: %q, %v", f.At, meta, err)
			}
		}
	}
	if n := files.open.Load(); n != maxOpen+1 {
		t.Errorf("%d files are open", n)
	}
	for _, f := range all {
		if err := j.Erase(f.At); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range j.Segments() {
		if !s.Current {
			if err := j.Remove(s.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := files.open.Load(); n != 1 {
		t.Errorf("%d files are open after all segments but one were removed", n)
	}
	if err := j.Close(); err != nil || files.open.Load() != 0 {
		t.Errorf("%d files are open after Close, %v", files.open.Load(), err)
	}
}
