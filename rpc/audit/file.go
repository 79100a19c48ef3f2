package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// file is a regular file that only its owner may access.
type file struct {
	path string
	f    *os.File
	torn bool // the file ends within a line
}

func openFile(path string) (*file, error) {
	t := &file{path: path}
	return t, t.reopen()
}

// open opens the file for appending, or creates it with mode 0600. It does not follow a symbolic
// link, and refuses what is not a regular file, or not private to the user of this process.
func (t *file) open() (*os.File, error) {
	// O_NONBLOCK, because the open of a FIFO would wait. It is opened for reading too, for endsTorn.
	const flags = os.O_RDWR | os.O_APPEND | os.O_CREATE | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	f, err := os.OpenFile(t.path, flags, 0o600)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link", t.path)
	}
	if err != nil {
		return nil, err
	}
	if err := t.check(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (t *file) check(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	switch owner := info.Sys().(*syscall.Stat_t).Uid; {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", t.path)
	case int(owner) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user (uid %d)", t.path, owner)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s may be accessed by other users (mode %#o): it needs mode 0600", t.path, info.Mode().Perm())
	}
	return nil
}

// endsTorn reports whether the last byte of a file is not a newline.
func endsTorn(f *os.File) bool {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return false
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], size-1)
	return err == nil && last[0] != '\n'
}

// write implements target. A line of which only a part was written is completed by a newline before
// the next ones, so that it cannot be taken for a part of another line.
func (t *file) write(lines []byte) (whole int, err error) {
	if t.torn {
		if _, err := t.f.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		t.torn = false
	}
	n, err := t.f.Write(lines)
	if err == nil {
		return n, nil
	}
	whole = bytes.LastIndexByte(lines[:n], '\n') + 1
	t.torn = n > whole
	return whole, err
}

func (t *file) reopen() error {
	f, err := t.open()
	if err != nil {
		return err
	}
	if t.f != nil {
		if t.torn {
			_, _ = t.f.Write([]byte{'\n'})
		}
		_ = t.f.Close()
	}
	t.f, t.torn = f, endsTorn(f)
	return nil
}

func (t *file) close() { _ = t.f.Close() }

// newStream returns a target that is an open file: a pipe, a terminal. It duplicates the
// descriptor, because the Go runtime ends the process when a write to descriptor 1 or 2 fails with
// EPIPE.
func newStream(f *os.File) (target, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var failed error
	err = raw.Control(func(own uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if fd, failed = syscall.Dup(int(own)); failed == nil {
			syscall.CloseOnExec(fd)
		}
	})
	if err = errors.Join(err, os.NewSyscallError("dup", failed)); err != nil {
		return nil, err
	}
	return &stream{file{f: os.NewFile(uintptr(fd), f.Name())}}, nil
}

// stream is a target that cannot be opened again.
type stream struct{ file }

func (*stream) reopen() error { return nil }
