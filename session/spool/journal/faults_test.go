package journal

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// TestDiskFull lets an Append fail after every byte. The file is as before, and the journal usable.
func TestDiskFull(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	j, dir := begun(t, faults, Options{})
	want := appendTo(t, j, entry(1))
	size := len(content(t, dir))
	failing := []Entry{entry(40), entry(25)}
	for n := range failing[0].size() + failing[1].size() {
		faults.Limit(n, syscall.ENOSPC)
		if _, err := j.Append(failing); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("%d bytes left: %v", n, err)
		}
		if len(content(t, dir)) != size || j.Segments()[0].Bytes != int64(size) {
			t.Fatalf("%d bytes left: %d bytes in the file", n, len(content(t, dir)))
		}
	}
	faults.Heal()
	want = append(want, appendTo(t, j, failing...)...)
	_, got, r := reopen(t, dir)
	clean(t, r)
	equal(t, got, want)
}

// TestCannotTruncate lets an Append fail half way, and then the truncation too: the next Append
// goes to a new segment.
func TestCannotTruncate(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	j, dir := begun(t, faults, Options{})
	want := appendTo(t, j, entry(1))
	faults.Limit(100, syscall.EIO)
	faults.Fail(disk.Truncate, syscall.EIO)
	if _, err := j.Append([]Entry{entry(40)}); !errors.Is(err, syscall.EIO) {
		t.Fatalf("%v", err)
	}
	if _, err := j.Append([]Entry{entry(40)}); !errors.Is(err, syscall.EIO) { // nor a new segment
		t.Fatalf("%v", err)
	}
	if _, err := os.Lstat(path(dir, 2)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	faults.Heal()
	faults.Fail(disk.Truncate, syscall.EIO)
	want = append(want, appendTo(t, j, entry(2), entry(3))...)
	if want[1].At.Segment == 1 {
		t.Errorf("appended to %v", want[1].At)
	}
	_, got, r := reopen(t, dir)
	equal(t, got, want)
	if len(r.Damage) != 1 || !r.Damage[0].Torn || r.Damage[0].Bytes != 100 {
		t.Errorf("report %+v", r)
	}
}

// TestTruncateLater lets the truncation succeed when the next Append tries again.
func TestTruncateLater(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	j, dir := begun(t, faults, Options{})
	want := appendTo(t, j, entry(1))
	faults.Limit(headerSize+200, syscall.ENOSPC)
	faults.Fail(disk.Truncate, syscall.EIO)
	if _, err := j.Append([]Entry{entry(30), entry(40)}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("%v", err)
	}
	faults.Heal()
	want = append(want, appendTo(t, j, entry(2))...)
	if len(j.Segments()) != 1 {
		t.Errorf("%d segments", len(j.Segments()))
	}
	_, got, r := reopen(t, dir)
	clean(t, r)
	equal(t, got, want)
}

// TestReadOnly opens a journal with a torn tail on a file system that is read-only.
func TestReadOnly(t *testing.T) {
	whole, all := file(t, entry(1), entry(40))
	dir := t.TempDir()
	replace(t, dir, whole[:len(whole)-align])
	faults := disk.NewFaults(readOnly{disk.OS{}})
	j := open(t, dir, faults, Options{})
	got, _ := scan(t, j)
	equal(t, got, all[:1])
	if _, err := j.Append([]Entry{entry(2)}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("%v", err)
	}
	if err := j.NewSegment(); !errors.Is(err, syscall.EROFS) {
		t.Errorf("%v", err)
	}
	if err := j.Erase(all[0].At); !errors.Is(err, syscall.EROFS) {
		t.Errorf("%v", err)
	}
	if meta, err := j.ReadMeta(all[0].At); err != nil || !bytes.Equal(meta, all[0].Meta) {
		t.Errorf("%q, %v", meta, err)
	}
}

// readOnly are files that cannot be opened for writing.
type readOnly struct{ disk.OS }

func (r readOnly) OpenFile(path string, flag int, perm fs.FileMode) (disk.File, error) {
	if flag&(os.O_RDWR|os.O_WRONLY) != 0 {
		return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.EROFS}
	}
	return r.OS.OpenFile(path, flag, perm)
}

// TestSyncFails checks that entries go to a new segment after a sync that failed.
func TestSyncFails(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	j, dir := begun(t, faults, Options{})
	want := appendTo(t, j, entry(1))
	faults.Fail(disk.Sync, syscall.EIO)
	if err := j.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("%v", err)
	}
	faults.Heal()
	want = append(want, appendTo(t, j, entry(2))...)
	if want[1].At.Segment != 2 {
		t.Errorf("appended to %v", want[1].At)
	}
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	faults.Fail(disk.Sync, syscall.EIO)
	if err := j.Sync(); err != nil { // nothing has changed
		t.Errorf("%v", err)
	}
	_, got, r := reopen(t, dir)
	clean(t, r)
	equal(t, got, want)
}

// TestRemoveFails checks that a segment that could not be removed is still there.
func TestRemoveFails(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	j, _ := begun(t, faults, Options{})
	want := appendTo(t, j, entry(1))[0]
	if err := j.NewSegment(); err != nil {
		t.Fatal(err)
	}
	faults.Fail(disk.Remove, syscall.EIO)
	if err := j.Remove(1); !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
	if meta, err := j.ReadMeta(want.At); err != nil || !bytes.Equal(meta, want.Meta) {
		t.Errorf("%q, %v", meta, err)
	}
	faults.Heal()
	if err := j.Remove(1); err != nil {
		t.Error(err)
	}
}

// badSectors are files that cannot be read in a range of bytes.
type badSectors struct {
	disk.OS
	from, to int64
	failed   *atomic.Int64
}

type badFile struct {
	disk.File
	bad badSectors
}

func (b badSectors) OpenFile(path string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := b.OS.OpenFile(path, flag, perm)
	if err != nil {
		return nil, err
	}
	return badFile{f, b}, nil
}

func (f badFile) ReadAt(b []byte, off int64) (int, error) {
	if off < f.bad.to && off+int64(len(b)) > f.bad.from {
		f.bad.failed.Add(1)
		return 0, syscall.EIO
	}
	return f.File.ReadAt(b, off)
}

// TestBadSectors checks that entries before and behind a part that cannot be read are found, that
// the segment is not touched, and that a disk that cannot be read at all is not tried for ever.
func TestBadSectors(t *testing.T) {
	j, dir := begun(t, disk.OS{}, Options{})
	all := appendTo(t, j, slices.Repeat([]Entry{{Type: Record, Key: 1, Meta: make([]byte, 1000)}}, 4000)...)
	whole := content(t, dir)
	for _, bad := range []badSectors{
		{from: 1_000_000, to: 1_000_512},
		{from: 1_000_000, to: 1_200_000},
		{from: 64, to: 65},
		{from: 1_000_000, to: 1 << 40},
		{from: 0, to: 1 << 40},
	} {
		bad.failed = &atomic.Int64{}
		j := open(t, dir, bad, Options{})
		got := map[Position]bool{}
		r, err := j.Scan(func(at Position, _ Type, _ int64, _ []byte, _ int) error {
			got[at] = true
			return nil
		})
		if err != nil || len(r.Damage) != 1 || !errors.Is(r.Damage[0].Err, syscall.EIO) || r.Damage[0].Torn {
			t.Fatalf("bytes %d to %d: %+v, %v", bad.from, bad.to, r, err)
		}
		if n := bad.failed.Load(); n > maxReadErrors+2 {
			t.Errorf("bytes %d to %d: %d reads have failed", bad.from, bad.to, n)
		}
		for _, f := range all {
			readable := f.At.Offset+f.size() <= bad.from || f.At.Offset >= bad.to+readErrorStep
			if readable && bad.from > 2*headerSize && !got[f.At] {
				t.Fatalf("bytes %d to %d: entry at %d not found", bad.from, bad.to, f.At.Offset)
			}
		}
		if at := appendTo(t, j, entry(1))[0].At; at.Segment == 1 {
			t.Errorf("bytes %d to %d: appended to %v", bad.from, bad.to, at)
		}
		if !bytes.Equal(content(t, dir), whole) {
			t.Errorf("bytes %d to %d: the segment has changed", bad.from, bad.to)
		}
		j.Close()
		for _, s := range j.Segments() {
			if s.ID > 1 {
				os.Remove(path(dir, s.ID))
			}
		}
	}
}

// tornOnce are files of which one write is torn and fails.
type tornOnce struct {
	unsynced
	tear *atomic.Bool
}

type tornFile struct {
	disk.File
	tear *atomic.Bool
}

func (o tornOnce) OpenFile(path string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := o.unsynced.OpenFile(path, flag, perm)
	return tornFile{f, o.tear}, err
}

func (f tornFile) WriteAt(b []byte, off int64) (int, error) {
	if !f.tear.CompareAndSwap(true, false) {
		return f.File.WriteAt(b, off)
	}
	n, _ := f.File.WriteAt(b[:20], off)
	return n, syscall.EIO
}

// TestEraseTorn checks that half a header does not stay: the entry could not be erased later.
func TestEraseTorn(t *testing.T) {
	files := tornOnce{tear: &atomic.Bool{}}
	j, _ := begun(t, files, Options{})
	f := appendTo(t, j, secret())[0]
	files.tear.Store(true)
	if err := j.Erase(f.At); !errors.Is(err, syscall.EIO) {
		t.Fatalf("%v", err)
	}
	if meta, err := j.ReadMeta(f.At); err != nil || !bytes.Equal(meta, f.Meta) {
		t.Errorf("%q, %v", meta, err)
	}
	if err := j.Erase(f.At); err != nil {
		t.Error(err)
	}
}

// unsyncedDir are files whose names cannot be synced.
type unsyncedDir struct{ disk.OS }

func (unsyncedDir) SyncDir(string) error { return syscall.EIO }

func TestSyncDir(t *testing.T) {
	j, _ := begun(t, unsyncedDir{}, Options{})
	appendTo(t, j, entry(1))
	for range 2 {
		if err := j.Sync(); !errors.Is(err, syscall.EIO) {
			t.Errorf("%v", err)
		}
	}
}
