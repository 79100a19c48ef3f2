package main

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// defaultSocket is $XDG_RUNTIME_DIR/runnel/sock, else the same under ~/.local/state; "" where there is
// neither.
func defaultSocket() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "runnel", "sock")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".local", "state", "runnel", "sock")
}

// defaultState is where servers of this user leave word of what they run: beside the default socket; "" where there is
// none.
func defaultState() string {
	socket := defaultSocket()
	if socket == "" {
		return ""
	}
	return filepath.Join(filepath.Dir(socket), "servers")
}

// ownSocket is where the user's own server listens: where the environment tells `serve` to, else the default.
func ownSocket() string {
	if path := os.Getenv("RUNNEL_SOCKET"); path != "" {
		return path
	}
	return defaultSocket()
}

// besideSocket is the token file beside a socket, or beside the default one; "" where there is neither.
func besideSocket(socket string) string {
	if socket == "" {
		socket = defaultSocket()
	}
	if socket == "" {
		return ""
	}
	return filepath.Join(filepath.Dir(socket), "token")
}

// privateDir makes a directory that only this user enters; one that is there is left as it is.
func privateDir(dir string) error { return os.MkdirAll(dir, 0o700) }

// readRegular reads a regular file. Anything else, a FIFO for example, is an error, and is not waited for.
func readRegular(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, cmp.Or(err, error(&fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}))
	}
	return io.ReadAll(f)
}

// writeWhole writes a file, 0600, so that nobody ever sees a part of it.
func writeWhole(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
