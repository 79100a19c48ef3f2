package fdreserve

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// retryOnEINTR repeats call while a signal interrupts it. The kernel does not restart a write of
// the memory limit of a version 1 cgroup.
func retryOnEINTR(call func() (int, error)) (n int, err error) {
	for {
		if n, err = call(); err != unix.EINTR {
			return n, err
		}
	}
}

func open(path string, flags int) (fd int, err error) {
	return retryOnEINTR(func() (int, error) { return unix.Open(path, flags|unix.O_CLOEXEC, 0) })
}

// ReadFile returns the content of a file. The error is an *os.PathError.
func ReadFile(path string) ([]byte, error) {
	return Do(func() ([]byte, error) {
		buf := make([]byte, 0, 1024)
		fd, err := open(path, unix.O_RDONLY)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		defer unix.Close(fd)
		for {
			if len(buf) == cap(buf) {
				buf = append(buf, 0)[:len(buf)]
			}
			n, err := unix.Read(fd, buf[len(buf):cap(buf)])
			switch {
			case err == unix.EINTR:
			case err != nil:
				return nil, &os.PathError{Op: "read", Path: path, Err: err}
			case n == 0:
				return buf, nil
			default:
				buf = buf[:len(buf)+n]
			}
		}
	})
}

// ReadOnce reads the start of a file into buf by one read(2). The error is a bare errno.
func ReadOnce(path string, buf []byte) (int, error) {
	return Do(func() (int, error) {
		fd, err := open(path, unix.O_RDONLY)
		if err != nil {
			return 0, err
		}
		defer unix.Close(fd)
		return retryOnEINTR(func() (int, error) { return unix.Read(fd, buf) })
	})
}

// WriteFile writes text to an existing file by one write(2), as the files of /proc and cgroups need
// it. The error is an *os.PathError.
func WriteFile(path, text string) error {
	_, err := Do(func() (struct{}, error) {
		fd, err := open(path, unix.O_WRONLY)
		if err == nil {
			_, err = retryOnEINTR(func() (int, error) { return unix.Write(fd, []byte(text)) })
			_ = unix.Close(fd)
		}
		if err != nil {
			err = &os.PathError{Op: "write", Path: path, Err: err}
		}
		return struct{}{}, err
	})
	return err
}

// ReadDirNames returns the names in a directory. The error is an *os.PathError.
func ReadDirNames(path string) ([]string, error) {
	return Do(func() (names []string, err error) {
		fd, err := open(path, unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		defer unix.Close(fd)
		buf := make([]byte, 8<<10)
		for {
			n, err := unix.ReadDirent(fd, buf)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return nil, &os.PathError{Op: "read", Path: path, Err: err}
			}
			if n == 0 {
				return names, nil
			}
			_, _, names = unix.ParseDirent(buf[:n], -1, names)
		}
	})
}

// Subdirectories returns the names of the directories in a directory.
func Subdirectories(path string) (dirs []string, err error) {
	names, err := ReadDirNames(path)
	for _, name := range names {
		if info, err := os.Lstat(filepath.Join(path, name)); err == nil && info.IsDir() {
			dirs = append(dirs, name)
		}
	}
	return dirs, err
}
