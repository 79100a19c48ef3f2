package outputfile

import (
	"bytes"
	"errors"
	"io"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// walk finds the blocks of a file by their headers.
type walk struct {
	file disk.File
	size int64

	key     int64
	index   index
	damaged int64
	found   bool // there is a block
	content bool // there is something that is not zero
}

// searchBytes is how much of the file is read at once in search of a header.
const searchBytes = 64 << 10

// run sets the results.
func (w *walk) run() error {
	for offset := int64(0); offset < w.size; {
		h, err := w.header(offset)
		if err != nil {
			return err
		}
		if h == nil {
			next, err := w.search(offset)
			if err != nil {
				return err
			}
			offset = next
			continue
		}
		if len(w.index.entries) == MaxBlocks {
			break
		}
		w.found, w.key = true, h.Key
		w.index.pages = uint32(offset / disk.Align)
		n := block.Padded(h.Bytes())
		w.index.add(h.First, h.End, n)
		offset += int64(n)
	}
	return w.checkEnd()
}

// foreign reports whether the file has something else than blocks.
func (w *walk) foreign() bool { return w.content && !w.found }

// header returns the header of the block at offset if that can be the next one, else nil.
func (w *walk) header(offset int64) (*block.Header, error) {
	var b [block.HeaderBytes]byte
	n, err := w.file.ReadAt(b[:], offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	h, err := block.ParseHeader(b[:n])
	if err != nil || !w.fits(&h, offset) {
		return nil, nil
	}
	return &h, nil
}

// fits reports whether a block can be the next one.
func (w *walk) fits(h *block.Header, offset int64) bool {
	if h.First == h.End || offset+int64(h.Bytes()) > w.size || offset/disk.Align+block.MaxBytes/disk.Align > 1<<32-1 {
		return false
	}
	return len(w.index.entries) == 0 || h.Key == w.key && follows(w.index.end, h.First)
}

// search returns the offset of the next block after a place that has none, or the size of the file.
// In between are the removed blocks at the beginning, or damage.
func (w *walk) search(offset int64) (int64, error) {
	b := make([]byte, searchBytes)
	for offset < w.size {
		data, err := w.file.SkipHole(offset)
		if err != nil {
			return 0, err
		}
		offset = data - data%disk.Align
		n, err := w.file.ReadAt(b[:min(searchBytes, max(w.size-offset, 0))], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for page := 0; page < n; page += disk.Align {
			here := b[page:min(page+disk.Align, n)]
			if h, err := block.ParseHeader(here); err == nil && w.fits(&h, offset+int64(page)) {
				return offset + int64(page), nil
			}
			w.countDamage(here)
		}
		if n == 0 {
			break
		}
		offset += int64(n)
	}
	return w.size, nil
}

// countDamage counts a page without a block.
func (w *walk) countDamage(page []byte) {
	if len(bytes.TrimLeft(page, "\x00")) > 0 {
		w.content = true
		w.damaged += int64(len(page))
	}
}

// checkEnd removes the newest blocks from the index as long as they are not complete: a crash may
// have kept the header of the block that was written last, but not its content.
func (w *walk) checkEnd() error {
	memory := block.NewBuffer()
	defer block.FreeBuffer(memory)
	x := &w.index
	for len(x.entries) > 0 {
		last := x.entries[len(x.entries)-1]
		n := min(x.bytes(), w.size) - last.offset()
		if err := readFull(w.file, memory[:n], last.offset()); err != nil {
			return err
		}
		k, err := block.Parse(memory[:n], nil)
		if err == nil {
			x.end = k.End
			k.Release()
			return nil
		}
		w.damaged += n
		x.entries = x.entries[:len(x.entries)-1]
		x.end, x.pages = last.mark(), last.page
		if err := w.shorten(); err != nil {
			return err
		}
	}
	return nil
}

// shorten sets the end of the index to that of its newest block.
func (w *walk) shorten() error {
	x := &w.index
	if len(x.entries) == 0 {
		return nil
	}
	last := x.entries[len(x.entries)-1]
	var b [block.HeaderBytes]byte
	if err := readFull(w.file, b[:], last.offset()); err != nil {
		return err
	}
	h, err := block.ParseHeader(b[:])
	if err != nil {
		return err // it was valid a moment ago
	}
	x.end, x.pages = h.End, last.page+uint32(block.Padded(h.Bytes())/disk.Align)
	return nil
}
