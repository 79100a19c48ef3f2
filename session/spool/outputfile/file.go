// Package outputfile is the file with the output of one session: blocks, and at the end an index of
// them. docs/spool.md defines the format.
package outputfile

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/stream"
)

// MaxBlocks is how many blocks a file has at most. The index in memory has 24 bytes for each.
const MaxBlocks = 1 << 20

var (
	// ErrForeign is returned by Open for a file that has content, but no block.
	ErrForeign = errors.New("outputfile: not an output file")
	// ErrFinished is returned by Append and Finish if the file has an index.
	ErrFinished = errors.New("outputfile: finished")
	// ErrUnfinished is returned by Compress if the file has no index.
	ErrUnfinished = errors.New("outputfile: not finished")
	// ErrTooManyBlocks is returned by Append if the file has MaxBlocks blocks.
	ErrTooManyBlocks = errors.New("outputfile: too many blocks")
	// ErrBlock is returned by Append for a block that does not belong to the end of the file.
	ErrBlock = errors.New("outputfile: the block does not continue the file")
)

// File is an open output file. Append, Finish and Close are for one goroutine at a time, and so is
// RemoveUntil, which may be another one. The other methods may be called concurrently with all. Bounds,
// Bytes, Key, Damaged, Finished and Compressed do not block.
type File struct {
	files disk.Files
	path  string

	// Of the goroutine that appends.
	direct   bool  // writes bypass the page cache
	cached   int64 // where the newest block begins, if that may be in the page cache
	tooLong  bool  // there may be something after the newest block
	appended bool  // something was written since the file was opened

	mu         sync.Mutex // not held while the disk is used
	file       disk.File
	key        int64
	index      index
	removing   int64 // what is before this position is removed now
	indexBytes int64 // of the index on disk
	finished   bool
	compressed bool
	damaged    int64
}

// Create creates the file of the session that has this key. It fails if the file exists.
func Create(files disk.Files, path string, key int64) (*File, error) {
	f := &File{files: files, path: path, key: key, direct: disk.Direct != 0}
	var err error
	if f.direct {
		f.file, err = f.create(disk.Direct)
	}
	if !f.direct || errors.Is(err, syscall.EINVAL) {
		f.direct = false
		f.file, err = f.create(0)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) create(flag int) (disk.File, error) {
	return f.files.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_EXCL|flag, 0o600)
}

// MaxAppended is how many blocks Append writes at most.
const MaxAppended = 2

// Append writes blocks, one behind the other in b, to the end with one write. Each is that of
// [block.Builder.Finish] or [block.Compress]. They can be read as soon as Append has returned. After an
// error the file is as before, and Append can be called again. What is between the end of the file and
// the beginning of a block is unreadable.
func (f *File) Append(b []byte) error {
	var headers [MaxAppended]block.Header
	n, err := parseHeaders(b, &headers)
	if err != nil {
		return err
	}
	offset, err := f.place(headers[:n])
	if err != nil {
		return err
	}
	if err := f.write(b, offset); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.key = headers[0].Key
	for _, h := range headers[:n] {
		f.index.add(h.First, h.End, block.Padded(h.Bytes()))
	}
	return nil
}

// parseHeaders returns how many blocks b consists of.
func parseHeaders(b []byte, headers *[MaxAppended]block.Header) (n int, err error) {
	for n == 0 || len(b) > 0 {
		if n == MaxAppended {
			return 0, fmt.Errorf("%w: more than %d", ErrBlock, MaxAppended)
		}
		if headers[n], err = block.ParseHeader(b); err != nil {
			return 0, err
		}
		length := block.Padded(headers[n].Bytes())
		if length > len(b) {
			return 0, fmt.Errorf("%w: %d bytes of %d", ErrBlock, len(b), length)
		}
		b = b[length:]
		n++
	}
	return n, nil
}

// place returns where the blocks are written to.
func (f *File) place(headers []block.Header) (offset int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.finished {
		return 0, ErrFinished
	}
	if len(f.index.entries)+len(headers) > MaxBlocks {
		return 0, ErrTooManyBlocks
	}
	key, end := f.key, f.index.end
	for _, h := range headers {
		if key != 0 && h.Key != key || !follows(end, h.First) || h.End == h.First {
			return 0, fmt.Errorf("%w: %v to %v of %d after %v of %d", ErrBlock, h.First, h.End, h.Key, end, key)
		}
		key, end = h.Key, h.End
	}
	return f.index.bytes(), nil
}

// follows reports whether a can be before b in a log.
func follows(a, b stream.Mark) bool {
	return a.Seq <= b.Seq && a.Events <= b.Events && b.Events-a.Events <= b.Seq-a.Seq
}

// write writes b to the end of the file.
func (f *File) write(b []byte, offset int64) error {
	if err := f.cut(offset); err != nil {
		return err
	}
	f.tooLong = true
	_, err := f.file.WriteAt(b, offset)
	if f.direct && !f.appended && errors.Is(err, syscall.EINVAL) {
		if err = f.reopen(); err == nil {
			_, err = f.file.WriteAt(b, offset)
		}
	}
	if err == nil && !f.direct {
		err = f.flush(offset, int64(len(b)))
	}
	if err == nil {
		f.tooLong, f.appended = false, true
	}
	return err
}

// cut removes what a failed write has left at the end.
func (f *File) cut(size int64) error {
	if !f.tooLong {
		return nil
	}
	err := f.file.Truncate(size)
	f.tooLong = err != nil
	return err
}

// reopen opens the file for buffered writes, because the file system refuses direct ones. Nothing was
// written, so nobody reads the file.
func (f *File) reopen() error {
	file, err := f.files.OpenFile(f.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.file, file = file, f.file
	f.mu.Unlock()
	f.direct = false
	return file.Close()
}

// flush begins to write what was appended, and removes what was appended before from the page cache:
// otherwise output that nobody reads displaces what other programs use.
func (f *File) flush(offset, n int64) error {
	if err := f.file.StartWriting(offset, n); err != nil {
		return err
	}
	if f.cached < offset {
		if err := f.file.DropCache(f.cached, offset-f.cached); err != nil {
			return err
		}
	}
	f.cached = offset
	return nil
}

// Finish writes the index. Nothing can be appended then. Finish does not wait until the file is
// durable. After an error it can be called again.
func (f *File) Finish() error {
	f.mu.Lock()
	finished, offset := f.finished, f.index.bytes()
	b := f.index.encode(f.key, f.compressed)
	f.mu.Unlock()
	if finished {
		return ErrFinished
	}
	if err := f.write(b, offset); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.finished, f.indexBytes = true, int64(len(b))
	return nil
}

// Sync makes durable what was appended.
func (f *File) Sync() error { return f.open().Sync() }

// open returns the file, which reopen may replace.
func (f *File) open() disk.File {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file
}

// Close closes the file. It stays unfinished if Finish was not called.
func (f *File) Close() error {
	return f.open().Close()
}

// Key returns the key of the session. It is 0 if an opened file has no content.
func (f *File) Key() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.key
}

// Bounds returns the position of the oldest block and the end of the newest. They are equal if there
// is no block.
func (f *File) Bounds() (oldest, end stream.Mark) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.index.oldest(), f.index.end
}

// Bytes returns how many bytes of the disk the file occupies: the blocks that were not removed, and
// the index.
func (f *File) Bytes() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.index.kept() + f.indexBytes
}

// Finished reports whether the file has an index.
func (f *File) Finished() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.finished
}

// Compressed reports whether the file was written by Compress.
func (f *File) Compressed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.compressed
}

// Damaged returns in how many bytes of the file Open has found no block, although there should be one.
func (f *File) Damaged() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.damaged
}
