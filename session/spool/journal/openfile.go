package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// maxOpen bounds the older segments that stay open for reading.
const maxOpen = 16

// openFile is closed by its last user. Journal.mu guards users. The journal itself is a user of the
// file of the current segment, and of those in Journal.open.
type openFile struct {
	disk.File
	segment *segment
	users   int
}

// acquire returns the file of a segment, which release closes.
func (j *Journal) acquire(s *segment, flag int) (*openFile, error) {
	if f, err := j.opened(s, flag); f != nil || err != nil {
		return f, err
	}
	file, err := j.files.OpenFile(j.path(s.id), flag, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: segment %d", ErrNotFound, s.id)
	}
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	f := &openFile{File: file, segment: s, users: 1}
	if flag == os.O_RDONLY {
		j.release(j.keep(f))
	}
	return f, nil
}

// opened returns the file of a segment if it is open.
func (j *Journal) opened(s *segment, flag int) (*openFile, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, ErrClosed
	}
	f := j.file
	if f == nil || s != j.current {
		i := slices.IndexFunc(j.open, func(f *openFile) bool { return f.segment == s })
		if i < 0 || flag != os.O_RDONLY {
			return nil, nil
		}
		f = j.open[i]
		j.open = append(slices.Delete(j.open, i, i+1), f) // the most recently used is the last
	}
	f.users++
	return f, nil
}

// keep adds a file to those that stay open, and returns the one that is released for it.
func (j *Journal) keep(f *openFile) (old *openFile) {
	j.mu.Lock()
	defer j.mu.Unlock()
	same := func(g *openFile) bool { return g.segment == f.segment }
	if j.closed || j.segments[f.segment.id] != f.segment || slices.ContainsFunc(j.open, same) {
		return nil
	}
	f.users++
	j.open = append(j.open, f)
	if len(j.open) > maxOpen {
		old = j.open[0]
		j.open = slices.Delete(j.open, 0, 1)
	}
	return old
}

// forget releases the file of a segment that is kept open.
func (j *Journal) forget(s *segment) {
	j.mu.Lock()
	var f *openFile
	if i := slices.IndexFunc(j.open, func(f *openFile) bool { return f.segment == s }); i >= 0 {
		f = j.open[i]
		j.open = slices.Delete(j.open, i, i+1)
	}
	j.mu.Unlock()
	j.release(f)
}

// release is the end of a use. f may be nil.
func (j *Journal) release(f *openFile) {
	if f == nil {
		return
	}
	j.mu.Lock()
	f.users--
	last := f.users == 0
	j.mu.Unlock()
	if last {
		_ = f.Close() // what was written is synced by Sync, which reports errors
	}
}

// readAt fills b. The end of the file is io.ErrUnexpectedEOF.
func readAt(f io.ReaderAt, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

func writeAt(f io.WriterAt, b []byte, off int64) error {
	n, err := f.WriteAt(b, off)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// repair opens the file of the current segment if it is not open, and cuts off what is behind its
// entries: a torn tail, or the rest of an Append that failed.
func (j *Journal) repair() error {
	j.mu.Lock()
	s, f, torn, closed := j.current, j.file, j.torn, j.closed
	j.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if !torn {
		return nil
	}
	if f == nil {
		file, err := j.files.OpenFile(j.path(s.id), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		f = &openFile{File: file, segment: s, users: 1}
		j.mu.Lock()
		j.file = f
		j.mu.Unlock()
	}
	if err := f.Truncate(s.end); err != nil {
		return err
	}
	j.mu.Lock()
	j.torn = false
	s.size = s.end
	s.changed++
	j.mu.Unlock()
	return nil
}
