package outputfile_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/session/spool/outputfile"
)

func TestCompress(t *testing.T) {
	f, path := create(t, disk.OS{}, t.TempDir())
	c := newContent()
	oldest := c.end
	write(t, f, c, 30)
	if removed, err := f.RemoveUntil(f.Bytes() / 2); err == nil {
		oldest = removed
	}
	if _, err := outputfile.Compress(disk.OS{}, path); !errors.Is(err, outputfile.ErrUnfinished) {
		t.Errorf("not finished: %v", err)
	}
	must(t, f.Finish())
	before := f.Bytes()
	must(t, os.WriteFile(path+outputfile.TempSuffix, []byte("of a crash"), 0o600))
	n, err := outputfile.Compress(disk.OS{}, path)
	must(t, err)
	g := reopen(t, path)
	if n >= before || g.Bytes() != n || !g.Compressed() || !g.Finished() {
		t.Errorf("%d bytes, %d before, compressed %v, finished %v", n, before, g.Compressed(), g.Finished())
	}
	bounds(t, g, oldest, c.end)
	verify(t, g, oldest, c.end)
	verify(t, f, oldest, c.end) // the old file, which is still open
	if again, err := outputfile.Compress(disk.OS{}, path); again != n || err != nil {
		t.Errorf("compressed again: %d bytes, %v", again, err)
	}
	if _, err := os.Stat(path + outputfile.TempSuffix); !os.IsNotExist(err) {
		t.Errorf("the temporary file: %v", err)
	}
}

func TestCompressDamaged(t *testing.T) {
	c := newContent()
	all, offsets := finished(t, c, 6)
	marks := append(c.marks, c.end)
	for i := range 6 {
		path := t.TempDir() + "/damaged"
		bad := append([]byte(nil), all...)
		bad[offsets[i]+200] ^= 1
		must(t, os.WriteFile(path, bad, 0o600))
		_, err := outputfile.Compress(disk.OS{}, path)
		must(t, err)
		checkDamaged(t, reopen(t, path), marks, i, "payload")
		_, end := reopen(t, path).Bounds()
		if end != c.end {
			t.Errorf("block %d: the end is %v", i, end)
		}
	}
}

func TestCompressFails(t *testing.T) {
	for _, operation := range []disk.Operation{disk.Write, disk.Read, disk.Sync, disk.Rename} {
		faults := disk.NewFaults(disk.OS{})
		f, path := create(t, faults, t.TempDir())
		c := newContent()
		first := c.end
		write(t, f, c, 5)
		must(t, f.Finish())
		faults.Fail(operation, syscall.EIO)
		if _, err := outputfile.Compress(faults, path); !errors.Is(err, syscall.EIO) {
			t.Errorf("operation %d: %v", operation, err)
		}
		if _, err := os.Stat(path + outputfile.TempSuffix); !os.IsNotExist(err) {
			t.Errorf("operation %d: the temporary file: %v", operation, err)
		}
		g := reopen(t, path)
		if g.Compressed() {
			t.Error("compressed")
		}
		verify(t, g, first, c.end)
	}
}
