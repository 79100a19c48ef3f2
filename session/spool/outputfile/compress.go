package outputfile

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// TempSuffix is what Compress appends to the path of a file that it writes. After a crash it may be
// left behind.
const TempSuffix = ".tmp"

// Compress replaces a finished file by one with compressed blocks, and returns how many bytes of the
// disk that occupies. Damaged blocks are unreadable in it, too. Whoever has the file open reads the old
// one. Nothing may be removed from that meanwhile. A file that is compressed stays as it is. After an
// error the file is unchanged. Errors: ErrUnfinished, and those of Open and Append.
func Compress(files disk.Files, path string) (bytes int64, err error) {
	from, err := Open(files, path)
	if err != nil {
		return 0, err
	}
	defer from.Close()
	switch {
	case !from.Finished():
		return 0, ErrUnfinished
	case from.Compressed():
		return from.Bytes(), nil
	}
	temp := path + TempSuffix
	if err := files.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	to, err := Create(files, temp, from.key)
	if err != nil {
		return 0, err
	}
	err = to.compress(from)
	if err == nil {
		err = to.Sync()
	}
	err = errors.Join(err, to.Close())
	if err == nil {
		err = files.Rename(temp, path)
	}
	if err != nil {
		return 0, errors.Join(err, files.Remove(temp))
	}
	return to.Bytes(), files.SyncDir(filepath.Dir(path))
}

// compress writes everything of another file.
func (f *File) compress(from *File) error {
	f.compressed = true
	for i := range from.index.entries {
		if err := f.compressBlock(from, i); err != nil {
			return err
		}
	}
	f.index.end = from.index.end
	return f.Finish()
}

// compressBlock writes one block, unless it is damaged.
func (f *File) compressBlock(from *File, i int) error {
	memory, out := block.NewBuffer(), block.NewBuffer()
	defer block.FreeBuffer(memory)
	defer block.FreeBuffer(out)
	b, err := from.readBytes(from.index.entries[i], from.index.next(i), memory)
	if err == nil {
		b, err = compressed(out, b)
	}
	switch {
	case damage(err):
		return nil
	case err != nil:
		return err
	}
	return f.Append(b)
}

// compressed returns the block at the beginning of b, compressed.
func compressed(out *[block.MaxBytes]byte, b []byte) ([]byte, error) {
	h, err := block.ParseHeader(b)
	if err != nil {
		return nil, err
	}
	if len(b) < block.Padded(h.Bytes()) {
		return nil, block.ErrTruncated
	}
	return block.Compress(out, b[:block.Padded(h.Bytes())])
}

// damage reports whether an error means that a block is not what was written, rather than that it
// could not be read.
func damage(err error) bool {
	for _, e := range []error{block.ErrNoBlock, block.ErrVersion, block.ErrChecksum, block.ErrTruncated, block.ErrInvalid} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
