package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// readOperatorFile reads a file of the configuration: a regular file of at most most bytes that
// belongs to this user or to root, and that nobody else may write. It does not block if the file is
// a FIFO. flag is its flag, for errors.
func readOperatorFile(flag, path string, most int64) ([]byte, os.FileInfo, error) {
	text, info, err := readOwnedFile(path, most)
	if err != nil {
		if _, named := errors.AsType[*os.PathError](err); !named {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return nil, nil, fmt.Errorf("%s: %w", flag, err)
	}
	return text, info, nil
}

func readOwnedFile(path string, most int64) ([]byte, os.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New("not a regular file")
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return nil, nil, fmt.Errorf("mode is %04o: only its owner may have the permission to write it", mode)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return nil, nil, fmt.Errorf("it belongs to the user %d: it must belong to root or to this user", st.Uid)
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("is larger than %d bytes", most)
	}
	return text, info, err
}
