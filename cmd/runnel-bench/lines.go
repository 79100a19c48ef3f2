//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// textFile is a file of lines of equal length.
type textFile struct {
	path    string
	size    int64 // bytes
	escaped int64 // bytes of the content as a JSON string
}

// lines writes a file of about size bytes, whose lines have n bytes without their newline.
func (b *bench) lines(n, size int) (textFile, error) {
	line := append(bytes.Repeat([]byte("x"), n), '\n')
	count := max(1, size/len(line))
	t := textFile{
		path:    filepath.Join(b.dir, fmt.Sprintf("lines-%d-%d", n, size)),
		size:    int64(count * len(line)),
		escaped: int64(count * (len(line) + 1)), // \n is two bytes
	}
	if info, err := os.Stat(t.path); err == nil && info.Size() == t.size {
		return t, nil
	}
	f, err := os.Create(t.path)
	if err != nil {
		return t, err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	for range count {
		_, _ = w.Write(line)
	}
	if err := w.Flush(); err != nil {
		return t, err
	}
	return t, f.Sync() // so that nothing is written back during a measurement
}
