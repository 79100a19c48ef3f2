// Package disk has the operations on files that a spool needs. Everything goes through the interface
// [Files], so that a test can make an operation fail or hang (see [Faults]).
package disk

import (
	"errors"
	"io/fs"
)

// ErrNoHoles is returned by [File.PunchHole] if the file system or the operating system cannot free
// a part of a file. The file is unchanged.
var ErrNoHoles = errors.New("part of a file cannot be freed here")

// Direct is a flag of [Files.OpenFile] besides those of package os: reads and writes bypass the page
// cache (O_DIRECT). Memory, offset and length must be multiples of [Align]. OpenFile, or the first
// read or write, fails with EINVAL where it is not supported.
const Direct = direct

// Align is what offsets, lengths and memory addresses of direct reads and writes are multiples of,
// in bytes.
const Align = 4096

// Files are operations on paths. All methods may be called concurrently; all may block.
type Files interface {
	// OpenFile is os.OpenFile with Direct as a further flag. O_APPEND is not allowed.
	OpenFile(path string, flag int, perm fs.FileMode) (File, error)
	Rename(from, to string) error
	Remove(path string) error
	// ReadDir returns the entries of a directory, sorted by name.
	ReadDir(path string) ([]fs.DirEntry, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(path string) error
}

// File is an open regular file. All methods may be called concurrently; all may block.
type File interface {
	// ReadAt and WriteAt are those of os.File: fewer bytes than asked for come with an error.
	ReadAt(b []byte, offset int64) (int, error)
	WriteAt(b []byte, offset int64) (int, error)
	// Size returns the length in bytes.
	Size() (int64, error)
	// Allocated returns how many bytes of the disk the file occupies.
	Allocated() (int64, error)
	Truncate(size int64) error
	// Sync makes the content and the length durable (fdatasync).
	Sync() error
	// PunchHole frees a part, which then reads as zeros. It returns ErrNoHoles if that is not supported.
	PunchHole(offset, n int64) error
	// SkipHole returns the offset of the first byte at or after offset that is not in a hole, or the
	// length of the file if there is none. Where holes are unknown it returns offset.
	SkipHole(offset int64) (int64, error)
	// StartWriting begins to write a part that WriteAt has put into the page cache, and DropCache
	// waits for that and removes the part from the page cache. Neither has an effect where it is not
	// supported.
	StartWriting(offset, n int64) error
	DropCache(offset, n int64) error
	Close() error
}
