//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	diskBlock   = 1 << 20 // the size of a write, as in package spool
	diskBuffers = 2       // one is filled while the other one is written
)

// diskRole is what bounds the throughput of a server that keeps output which nobody reads: it reads the
// pipe of a command into blocks, and writes them to a new file by direct writes, without sessions, a log,
// checksums and an index. Its arguments are an address, for forEachPath, and a directory: it stores the output of
// `cat` of each path there, and removes it.
func diskRole(args []string) error {
	if len(args) != 2 {
		return errors.New("the arguments are an address and a directory")
	}
	store := filepath.Join(args[1], "limit")
	return forEachPath(args[0], func(_ net.Conn, path string) error {
		return errors.Join(storeOutput(store, path), os.Remove(store))
	})
}

// storeOutput writes the output of `cat path` to a new file.
func storeOutput(store, path string) error {
	f, err := os.OpenFile(store, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|unix.O_DIRECT, 0o600)
	if errors.Is(err, unix.EINVAL) { // the file system has no direct writes
		f, err = os.OpenFile(store, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	r, cmd, err := startCat(path)
	if err != nil {
		return err
	}
	defer r.Close()
	return errors.Join(storeBlocks(f, r), cmd.Wait())
}

// storeBlocks reads r until its end, and writes it to f in whole blocks; the rest is discarded.
func storeBlocks(f *os.File, r io.Reader) error {
	empty, full := make(chan []byte, diskBuffers), make(chan []byte, diskBuffers)
	for range diskBuffers {
		b, err := unix.Mmap(-1, 0, diskBlock, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return err
		}
		defer unix.Munmap(b)
		empty <- b
	}
	written := make(chan error, 1)
	go func() {
		var failed error
		for b := range full {
			if _, err := f.Write(b); err != nil {
				failed = errors.Join(failed, err)
			}
			empty <- b
		}
		written <- failed
	}()
	var err error
	for err == nil {
		b := <-empty
		for n := 0; n < len(b) && err == nil; {
			var got int
			got, err = r.Read(b[n:min(n+limitRead, len(b))])
			n += got
		}
		if err == nil {
			full <- b
		}
	}
	close(full)
	if err == io.EOF {
		err = nil
	}
	return errors.Join(err, <-written)
}

// startDiskLimit starts a child in the role disk, which stores files in a directory.
func (b *bench) startDiskLimit(dir string) (*limit, error) { return b.startRole("disk", dir) }

// store lets the child store the output of `cat` of the file.
func (l *limit) store(f textFile) error {
	n, err := l.request(f)
	if err == nil && n != 0 {
		err = fmt.Errorf("limit: %d bytes instead of none", n)
	}
	return err
}
