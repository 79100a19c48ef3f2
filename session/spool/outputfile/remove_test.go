package outputfile_test

import (
	"errors"
	"os"
	"testing"

	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/session/spool/outputfile"
	"github.com/runnel-rpc/runnel/stream"
)

// allocated returns how many bytes of the disk a file occupies.
func allocated(t *testing.T, path string) int64 {
	t.Helper()
	f, err := disk.OS{}.OpenFile(path, os.O_RDONLY, 0)
	must(t, err)
	defer f.Close()
	n, err := f.Allocated()
	must(t, err)
	return n
}

func TestRemove(t *testing.T) {
	everywhere(t, func(t *testing.T, files disk.Files, dir string) {
		f, path := create(t, files, dir)
		c := newContent()
		write(t, f, c, 40)
		must(t, f.Sync())
		before := allocated(t, path)
		for _, part := range []int64{3, 2} {
			bytes := f.Bytes() / part
			oldest, err := f.RemoveUntil(bytes)
			if errors.Is(err, disk.ErrNoHoles) {
				t.Skip(err)
			}
			must(t, err)
			checkRemoved(t, f, c, oldest, bytes)
		}
		if n := allocated(t, path); n > f.Bytes()+16<<10 || n >= before/3 {
			t.Errorf("%d bytes allocated for %d bytes of blocks, %d before", n, f.Bytes(), before)
		}
		oldest, _ := f.Bounds()
		must(t, f.Finish())
		must(t, f.Close())

		f = reopen(t, path)
		bounds(t, f, oldest, c.end)
		verify(t, f, oldest, c.end)
		oldest, err := f.RemoveUntil(20_000)
		must(t, err)
		verify(t, f, oldest, c.end)
		f.Close()
		bounds(t, reopen(t, path), oldest, c.end)
	})
}

// checkRemoved checks what is left after the file was reduced to a size.
func checkRemoved(t *testing.T, f *outputfile.File, c *content, oldest stream.Mark, size int64) {
	t.Helper()
	if f.Bytes() > size || f.Bytes() < size-50_000 {
		t.Errorf("%d bytes left of at most %d", f.Bytes(), size)
	}
	bounds(t, f, oldest, c.end)
	known := false
	for _, mark := range c.marks {
		known = known || mark == oldest
	}
	if !known {
		t.Errorf("no block begins at %v", oldest)
	}
	verify(t, f, oldest, c.end)
	if _, err := f.Read(oldest.Seq-1, false, decode); !errors.Is(err, stream.ErrRemoved) {
		t.Errorf("what was removed: %v", err)
	}
}

// TestRemoveAllButNewest: the newest block stays, so that the end of the file is known after a crash.
func TestRemoveAllButNewest(t *testing.T) {
	f, path := create(t, disk.OS{}, t.TempDir())
	c := newContent()
	write(t, f, c, 4)
	newest := c.end
	write(t, f, c, 1)
	oldest, err := f.RemoveUntil(0)
	if errors.Is(err, disk.ErrNoHoles) {
		t.Skip(err)
	}
	must(t, err)
	if oldest != newest {
		t.Errorf("%v is left, not %v", oldest, newest)
	}
	bounds(t, reopen(t, path), newest, c.end)
	write(t, f, c, 2)
	bounds(t, f, newest, c.end)
	verify(t, f, newest, c.end)
	f.Close()
	f = reopen(t, path)
	bounds(t, f, newest, c.end)
	if f.Damaged() != 0 {
		t.Errorf("%d bytes damaged", f.Damaged())
	}
}

func TestRemoveUnsupported(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	f, _ := create(t, faults, t.TempDir())
	c := newContent()
	first := c.end
	write(t, f, c, 5)
	faults.Fail(disk.Punch, disk.ErrNoHoles)
	if oldest, err := f.RemoveUntil(0); !errors.Is(err, disk.ErrNoHoles) || oldest != first {
		t.Errorf("%v, %v", oldest, err)
	}
	verify(t, f, first, c.end)
}
