package outputfile

import (
	"errors"
	"io"
	"os"
	"sort"
	"syscall"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// Open opens a file. Without a valid index, as after a crash, it finds the blocks by their headers; the
// file can then be continued with Append and Finish. A damaged end is not part of the file then, and
// is overwritten. Open returns ErrForeign if there is content, but no block.
func Open(files disk.Files, path string) (*File, error) {
	f := &File{files: files, path: path}
	var err error
	if f.file, err = files.OpenFile(path, os.O_RDWR, 0); errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EACCES) {
		f.file, err = files.OpenFile(path, os.O_RDONLY, 0)
	}
	if err != nil {
		return nil, err
	}
	if err := f.load(); err != nil {
		f.file.Close()
		return nil, err
	}
	return f, nil
}

// load sets the index.
func (f *File) load() error {
	size, err := f.file.Size()
	if err != nil {
		return err
	}
	if err := f.loadIndex(size); !errors.Is(err, errNoFooter) {
		return err
	}
	w := walk{file: f.file, size: size}
	if err := w.run(); err != nil {
		return err
	}
	if w.foreign() {
		return ErrForeign
	}
	f.key, f.index, f.damaged = w.key, w.index, w.damaged
	f.tooLong, f.cached = size > f.index.bytes(), f.index.bytes()
	return nil
}

// loadIndex sets the index from the end of the file.
func (f *File) loadIndex(size int64) error {
	if size < disk.Align || size%disk.Align != 0 {
		return errNoFooter
	}
	var b [footerBytes]byte
	if err := readFull(f.file, b[:], size-footerBytes); err != nil {
		return err
	}
	foot, err := parseFooter(b[:], size)
	if err != nil {
		return err
	}
	entries := make([]byte, foot.blocks*entryBytes)
	if err := readFull(f.file, entries, foot.offset); err != nil {
		return err
	}
	x, err := parseIndex(entries, foot)
	if err != nil {
		return err
	}
	removed, err := f.removed(&x)
	if err != nil {
		return err
	}
	x.remove(removed)
	f.key, f.index, f.compressed = foot.key, x, foot.compressed
	f.finished, f.indexBytes = true, size-foot.offset
	return nil
}

// removed returns how many blocks of the index on disk were removed: those before the first one that
// is not all zeros.
func (f *File) removed(x *index) (n int, err error) {
	removed := func(i int) bool {
		var b [block.HeaderBytes]byte
		if e := readFull(f.file, b[:], x.entries[i].offset()); e != nil {
			err = errors.Join(err, e)
		}
		return b == [block.HeaderBytes]byte{}
	}
	if len(x.entries) == 0 || !removed(0) { // as usual
		return 0, err
	}
	return sort.Search(len(x.entries), func(i int) bool { return !removed(i) }), err
}

// readFull reads len(b) bytes. The end of the file is an error.
func readFull(f disk.File, b []byte, offset int64) error {
	n, err := f.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
