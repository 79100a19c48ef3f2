package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// readRegular reads a regular file of at most most bytes, which check accepts if it is not nil. It
// does not block if the file is a FIFO. An error that is no *os.PathError does not name the file.
func readRegular(path string, most int64, check func(os.FileInfo) error) ([]byte, os.FileInfo, error) {
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
	if check != nil {
		if err := check(info); err != nil {
			return nil, nil, err
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("is larger than %d bytes", most)
	}
	return text, info, err
}

// namesFile reports whether an error of readRegular names the file.
func namesFile(err error) bool {
	_, ok := errors.AsType[*os.PathError](err)
	return ok
}

// withName adds the path to an error of readRegular that does not name the file.
func withName(path string, err error) error {
	if namesFile(err) {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}
