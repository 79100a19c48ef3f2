package process

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The files of /proc and of control groups, each opened for one call. All of these work without a free descriptor: see
// transient.

// uninterrupted repeats a system call that a signal interrupts. The kernel does not do so itself where the memory limit of
// a control group is written.
func uninterrupted(call func() (int, error)) (n int, err error) {
	for {
		if n, err = call(); err != unix.EINTR {
			return n, err
		}
	}
}

func open(path string, flags int) (fd int, err error) {
	return uninterrupted(func() (int, error) { return unix.Open(path, flags|unix.O_CLOEXEC, 0) })
}

// readFile returns all of a file.
func readFile(path string) ([]byte, error) {
	return transient(func() ([]byte, error) {
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

// readOnce reads the beginning of a file into buf. Errors are bare errnos.
func readOnce(path string, buf []byte) (int, error) {
	return transient(func() (int, error) {
		fd, err := open(path, unix.O_RDONLY)
		if err != nil {
			return 0, err
		}
		defer unix.Close(fd)
		return uninterrupted(func() (int, error) { return unix.Read(fd, buf) })
	})
}

// writeFile writes to a file that is there, as those of a control group are.
func writeFile(path, text string) error {
	_, err := transient(func() (struct{}, error) {
		fd, err := open(path, unix.O_WRONLY)
		if err == nil {
			_, err = uninterrupted(func() (int, error) { return unix.Write(fd, []byte(text)) })
			_ = unix.Close(fd)
		}
		if err != nil {
			err = &os.PathError{Op: "write", Path: path, Err: err}
		}
		return struct{}{}, err
	})
	return err
}

// listNames returns the names in a directory.
func listNames(path string) ([]string, error) {
	return transient(func() (names []string, err error) {
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

// subdirectories returns the names of the directories in one.
func subdirectories(path string) (dirs []string, err error) {
	names, err := listNames(path)
	for _, name := range names {
		if info, err := os.Lstat(filepath.Join(path, name)); err == nil && info.IsDir() {
			dirs = append(dirs, name)
		}
	}
	return dirs, err
}
