package outputfile

import (
	"github.com/runnel-rpc/runnel/stream"
)

// RemoveUntil removes the oldest blocks until the file occupies at most this many bytes, or one block
// is left, from which Open knows where a file without an index ends. It returns the oldest position
// that is left. If the disk space cannot be freed, it returns disk.ErrNoHoles or the error of the system
// call, and the blocks stay.
func (f *File) RemoveUntil(bytes int64) (oldest stream.Mark, err error) {
	offset, n, removed := f.excess(bytes)
	if removed == 0 {
		oldest, _ = f.Bounds()
		return oldest, nil
	}
	err = f.open().PunchHole(offset, n)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.removing = 0
	if err == nil {
		f.index.remove(removed)
	}
	return f.index.oldest(), err
}

// excess returns which part of the file, and how many blocks, are to be removed. A read of them that
// fails is told so from here on.
func (f *File) excess(bytes int64) (offset, n int64, blocks int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := &f.index
	kept := x.kept() + f.indexBytes
	begin := x.next(-1).offset()
	for blocks < len(x.entries)-1 && kept-n > bytes {
		n = x.next(blocks).offset() - begin
		blocks++
	}
	f.removing = x.next(blocks - 1).seq
	return begin, n, blocks
}
