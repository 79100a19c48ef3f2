package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// OS are the files of the operating system.
type OS struct{}

// OpenFile implements [Files].
func (OS) OpenFile(path string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(path, flag, perm)
	if err != nil {
		return nil, err
	}
	return file{f}, nil
}

// Rename implements [Files].
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements [Files].
func (OS) Remove(path string) error { return os.Remove(path) }

// ReadDir implements [Files].
func (OS) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }

// SyncDir implements [Files].
func (OS) SyncDir(path string) error {
	d, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// file is a file of the operating system. Its methods in os_linux.go and os_other.go use system calls.
type file struct{ *os.File }

func (f file) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// blockBytes is the unit of st_blocks (stat(2)).
const blockBytes = 512

func (f file) Allocated() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.Size(), nil
	}
	return stat.Blocks * blockBytes, nil
}

// control calls a system call until no signal interrupts it.
func (f file) control(operation string, call func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		for failed = call(int(fd)); errors.Is(failed, syscall.EINTR); {
			failed = call(int(fd))
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return &fs.PathError{Op: operation, Path: f.Name(), Err: err}
	}
	return nil
}
