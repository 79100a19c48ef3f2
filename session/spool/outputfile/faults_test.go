package outputfile_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/session/spool/outputfile"
	"github.com/runnel-rpc/runnel/stream"
)

// TestWriteFails checks that a file whose writes have failed, completely or in part, is as before and
// can be continued.
func TestWriteFails(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EROFS, syscall.EIO} {
		for _, room := range []int64{0, 100, 4096, 9000} {
			everywhere(t, func(t *testing.T, files disk.Files, dir string) {
				faults := disk.NewFaults(files)
				f, path := create(t, faults, dir)
				c := newContent()
				first := c.end
				write(t, f, c, 3)
				faults.Limit(room, errno)
				before := c.end
				b := c.next(t, 20_000)
				if err := f.Append(b); !errors.Is(err, errno) {
					t.Errorf("append: %v", err)
				}
				if err := f.Finish(); !errors.Is(err, errno) && room < 4096 {
					t.Errorf("finish: %v", err)
				}
				if !f.Finished() {
					bounds(t, f, first, before)
					verify(t, f, first, before)
					verify(t, reopen(t, path), first, before) // after a crash here
					faults.Heal()
					must(t, f.Append(b))
					write(t, f, c, 1)
					before = c.end
					must(t, f.Finish())
				}
				g := reopen(t, path)
				verify(t, g, first, before)
				if !g.Finished() || g.Damaged() != 0 {
					t.Errorf("finished %v, %d bytes damaged", g.Finished(), g.Damaged())
				}
			})
		}
	}
}

// TestFinishAfterFailure finishes a file in which a failed write has left more than the index is long.
func TestFinishAfterFailure(t *testing.T) {
	everywhere(t, func(t *testing.T, files disk.Files, dir string) {
		faults := disk.NewFaults(files)
		f, path := create(t, faults, dir)
		c := newContent()
		first := c.end
		write(t, f, c, 3)
		before := c.end
		faults.Limit(20_000, syscall.ENOSPC)
		if err := f.Append(c.next(t, 40_000)); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("append: %v", err)
		}
		faults.Fail(disk.Truncate, syscall.EIO)
		if err := f.Finish(); !errors.Is(err, syscall.EIO) {
			t.Errorf("finish: %v", err)
		}
		faults.Heal()
		must(t, f.Finish())
		g := reopen(t, path)
		if !g.Finished() {
			t.Error("not finished")
		}
		verify(t, g, first, before)
	})
}

func TestReadFails(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	f, path := create(t, faults, t.TempDir())
	c := newContent()
	write(t, f, c, 3)
	faults.Fail(disk.Read, syscall.EIO)
	_, err := f.Read(c.marks[1].Seq, false, decode)
	if u, ok := errors.AsType[*stream.UnreadableError](err); !ok || !errors.Is(err, syscall.EIO) || u.Next != c.marks[2].Seq {
		t.Error(err)
	}
	if _, err := outputfile.Open(faults, path); !errors.Is(err, syscall.EIO) {
		t.Errorf("open: %v", err)
	}
	faults.Heal()
	verify(t, f, c.marks[1], c.end)
}

// TestHang checks that the file can be read, and asked for its bounds, while a write hangs.
func TestHang(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	f, _ := create(t, faults, t.TempDir())
	c := newContent()
	first := c.end
	write(t, f, c, 3)
	before := c.end
	b := c.next(t, 5000)
	faults.Hang(disk.Write)
	done := make(chan error)
	go func() { done <- f.Append(b) }()
	faults.AwaitHanging(1)
	bounds(t, f, first, before)
	verify(t, f, first, before)
	if f.Bytes() == 0 || f.Finished() {
		t.Error("the file is empty or finished")
	}
	faults.Heal()
	must(t, <-done)
	verify(t, f, first, c.end)
}
