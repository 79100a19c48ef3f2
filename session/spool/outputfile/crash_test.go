package outputfile_test

import (
	"bytes"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/session/spool/outputfile"
	"github.com/runnel-rpc/runnel/stream"
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// finished returns the content of a file, and where its blocks begin; the last offset is that of the index.
func finished(t testing.TB, c *content, blocks int) (b []byte, offsets []int) {
	f, path := create(t, disk.OS{}, t.TempDir())
	for i := range blocks {
		offsets = append(offsets, int(f.Bytes()))
		must(t, f.Append(c.next(t, 3000+5000*(i%3))))
	}
	offsets = append(offsets, int(f.Bytes()))
	must(t, f.Finish())
	b, err := os.ReadFile(path)
	must(t, err)
	return b, offsets
}

// TestTruncated opens a file that was cut at every kind of offset, continues it, and reads it.
func TestTruncated(t *testing.T) {
	c := newContent()
	first := c.end
	all, offsets := finished(t, c, 6)
	marks := append(c.marks, c.end)
	dir := t.TempDir()
	var cuts []int
	for _, o := range offsets {
		cuts = append(cuts, o, o+1, o+40, o+block.HeaderBytes, o+block.HeaderBytes+5, o+2000, o+4096, o+4097)
	}
	for _, cut := range cuts {
		if cut >= len(all) {
			continue
		}
		path := filepath.Join(dir, "cut")
		must(t, os.WriteFile(path, all[:cut], 0o600))
		f, err := outputfile.Open(disk.OS{}, path)
		if cut > 0 && cut < block.HeaderBytes+3000 { // less than the first block
			if err == nil {
				bounds(t, f, stream.Mark{}, stream.Mark{})
				f.Close()
			} else if !errors.Is(err, outputfile.ErrForeign) {
				t.Errorf("cut at %d: %v", cut, err)
			}
			continue
		}
		must(t, err)
		complete := 0
		for complete+1 < len(offsets) && end(all, offsets[complete]) <= cut {
			complete++
		}
		if complete > 0 {
			bounds(t, f, first, marks[complete])
			verify(t, f, first, marks[complete])
		}
		if f.Finished() {
			t.Errorf("cut at %d: finished", cut)
		}
		more := &content{builder: c.builder, end: marks[complete], n: complete}
		write(t, f, more, 2)
		must(t, f.Finish())
		f.Close()
		f = reopen(t, path)
		verify(t, f, first, more.end)
		if !f.Finished() || f.Damaged() != 0 {
			t.Errorf("cut at %d, continued: finished %v, %d bytes damaged", cut, f.Finished(), f.Damaged())
		}
	}
}

// end returns where the content of the block ends.
func end(all []byte, offset int) int {
	h, err := block.ParseHeader(all[offset:])
	if err != nil {
		return offset
	}
	return offset + h.Bytes()
}

// TestDamaged changes or erases a part of one block: only that is unreadable, with and without the index.
func TestDamaged(t *testing.T) {
	c := newContent()
	all, offsets := finished(t, c, 6)
	marks := append(c.marks, c.end)
	index := offsets[6]
	dir := t.TempDir()
	damages := map[string]func(b []byte){
		"magic":   func(b []byte) { b[0]++ },
		"header":  func(b []byte) { b[20]++ },
		"payload": func(b []byte) { b[block.HeaderBytes+100]++ },
		"page":    func(b []byte) { copy(b[:4096], bytes.Repeat([]byte{0xff}, 4096)) },
		"zeros":   func(b []byte) { clear(b[:4096]) },
	}
	for name, damage := range damages {
		for i := range 6 {
			for _, length := range []int{len(all), index} {
				bad := bytes.Clone(all[:length])
				damage(bad[offsets[i]:])
				path := filepath.Join(dir, "damaged")
				must(t, os.WriteFile(path, bad, 0o600))
				f := reopen(t, path)
				checkDamaged(t, f, marks, i, name)
				if _, end := f.Bounds(); length == index && i == 5 && end != marks[5] {
					t.Errorf("%s of the newest block, without an index: the end is %v", name, end)
				}
				f.Close()
			}
		}
	}
}

// checkDamaged checks that everything except block i can be read.
func checkDamaged(t *testing.T, f *outputfile.File, marks []stream.Mark, i int, name string) {
	t.Helper()
	oldest, end := f.Bounds()
	for n, mark := range marks[:len(marks)-1] {
		k, err := f.Read(mark.Seq, false, decode)
		if n != i {
			if err != nil || k.First != mark || k.End != marks[n+1] {
				t.Errorf("%s of block %d: block %d: %v", name, i, n, err)
			}
			continue
		}
		u, unreadable := errors.AsType[*stream.UnreadableError](err)
		switch {
		case err == nil:
			t.Errorf("%s of block %d: it can be read", name, i)
		case mark.Seq < oldest.Seq || mark.Seq >= end.Seq: // not in the file
		case !unreadable || u.Next != marks[n+1].Seq:
			t.Errorf("%s of block %d: %v", name, i, err)
		}
	}
}

// TestIndexDamaged opens a file whose index is damaged.
func TestIndexDamaged(t *testing.T) {
	c := newContent()
	first := c.end
	all, offsets := finished(t, c, 6)
	for _, o := range []int{offsets[6], offsets[6] + 30, len(all) - 64, len(all) - 30, len(all) - 1} {
		path := filepath.Join(t.TempDir(), "damaged")
		bad := bytes.Clone(all)
		bad[o] ^= 1
		must(t, os.WriteFile(path, bad, 0o600))
		f := reopen(t, path)
		bounds(t, f, first, c.end)
		verify(t, f, first, c.end)
		if f.Finished() || f.Damaged() != 4096 {
			t.Errorf("damage at %d: finished %v, %d bytes damaged", o, f.Finished(), f.Damaged())
		}
		must(t, f.Finish())
		f = reopen(t, path)
		if !f.Finished() {
			t.Error("not finished")
		}
		verify(t, f, first, c.end)
	}
}

// TestCopies opens copies that were taken between the writes.
func TestCopies(t *testing.T) {
	f, path := create(t, disk.OS{}, t.TempDir())
	c := newContent()
	first := c.end
	for i := range 10 {
		write(t, f, c, 1)
		if i == 4 {
			if _, err := f.RemoveUntil(f.Bytes() - 1); errors.Is(err, disk.ErrNoHoles) {
				t.Skip(err)
			}
			first = c.marks[1]
		}
		b, err := os.ReadFile(path)
		must(t, err)
		copied := filepath.Join(t.TempDir(), "copy")
		must(t, os.WriteFile(copied, b, 0o600))
		g := reopen(t, copied)
		bounds(t, g, first, c.end)
		verify(t, g, first, c.end)
		if g.Damaged() != 0 || g.Finished() {
			t.Errorf("%d bytes damaged, finished %v", g.Damaged(), g.Finished())
		}
	}
}

func FuzzOpen(f *testing.F) {
	c := newContent()
	all, offsets := finished(f, c, 3)
	f.Add(all)
	f.Add(all[:offsets[3]])
	f.Add(all[offsets[1]:])
	f.Add(all[:offsets[2]+100])
	f.Add([]byte("foreign"))
	path := filepath.Join(f.TempDir(), "file")
	f.Fuzz(func(t *testing.T, b []byte) {
		must(t, os.WriteFile(path, b, 0o600))
		file, err := outputfile.Open(disk.OS{}, path)
		if err != nil {
			return
		}
		defer file.Close()
		at, end := file.Bounds()
		for n := 0; at.Seq < end.Seq; n++ {
			k, err := file.Read(at.Seq, false, decode)
			if u, ok := errors.AsType[*stream.UnreadableError](err); ok {
				if u.Next <= at.Seq || u.Next > end.Seq {
					t.Fatalf("unreadable from %d to %d of %d", at.Seq, u.Next, end.Seq)
				}
				at.Seq = u.Next
				continue
			}
			if err != nil || k.End.Seq <= at.Seq || n > len(b) {
				t.Fatalf("at %d: %v", at.Seq, err)
			}
			at = k.End
		}
	})
}
