package bubblewrap

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// loader is what executes this program if it is dynamically linked: the dynamic linker and the
// directories of the libraries. Inside a sandbox they may not be visible at their paths, and what is
// there may not be what this program needs, so they are passed as descriptors too. It is empty for a
// statically linked program.
type loader struct {
	path        string
	directories []string
}

var ownLoader = sync.OnceValues(findLoader)

// findLoader reads which files this process has mapped (proc_pid_maps(5)).
func findLoader() (l loader, err error) {
	base, err := loaderBase()
	if err != nil || base == 0 {
		return loader{}, err
	}
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return loader{}, err
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return loader{}, err
	}
	for line := range strings.Lines(string(maps)) {
		fields := strings.Fields(line)
		if len(fields) < 6 || !strings.HasPrefix(fields[5], "/") {
			continue
		}
		first, _, _ := strings.Cut(fields[0], "-")
		start, _ := strconv.ParseUint(first, 16, 64)
		dir := filepath.Dir(fields[5])
		switch {
		case start == base:
			l.path = fields[5]
		case fields[5] != exe && strings.Contains(fields[1], "x") && !slices.Contains(l.directories, dir):
			l.directories = append(l.directories, dir)
		}
	}
	return l, nil
}

// loaderBase returns where the dynamic linker is mapped, 0 if there is none (getauxval(3)).
func loaderBase() (uint64, error) {
	const base = 7 // AT_BASE
	vector, err := os.ReadFile("/proc/self/auxv")
	if err != nil {
		return 0, err
	}
	word := strconv.IntSize / 8
	read := func(b []byte) uint64 {
		if word == 4 {
			return uint64(binary.NativeEndian.Uint32(b))
		}
		return binary.NativeEndian.Uint64(b)
	}
	for pair := range slices.Chunk(bytes.Clone(vector), 2*word) {
		if len(pair) == 2*word && read(pair) == base {
			return read(pair[word:]), nil
		}
	}
	return 0, nil
}

// open opens the files of the loader. The caller closes them, also after an error.
func (l *loader) open() (fds []int, err error) {
	if l.path == "" {
		return nil, nil
	}
	for _, path := range append([]string{l.path}, l.directories...) {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return fds, &os.PathError{Op: "open", Path: path, Err: err}
		}
		fds = append(fds, fd)
	}
	return fds, nil
}
