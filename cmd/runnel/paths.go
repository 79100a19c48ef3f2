package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// defaultSocket is $XDG_RUNTIME_DIR/runnel/sock, else the same under ~/.local/state.
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

// defaultToken is the token file beside a socket.
func defaultToken(socket string) string {
	if socket == "" {
		socket = defaultSocket()
	}
	return filepath.Join(filepath.Dir(socket), "token")
}

// readToken reads a token file. Others' read rights on it are refused: a token that others read is none.
func readToken(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("token file %s: mode is %04o, others may read it; make it 0600", path, info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return "", fmt.Errorf("token file %s is empty", path)
	}
	return token, nil
}

// ensureToken reads the token file, or makes one with a new token where there is none.
func ensureToken(path string) (string, error) {
	if err := privateDir(filepath.Dir(path)); err != nil {
		return "", err
	}
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails (crypto/rand)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return readToken(path)
	}
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	token := hex.EncodeToString(secret[:])
	if _, err = f.WriteString(token + "\n"); err == nil {
		err = f.Close()
	}
	return token, err
}

// privateDir makes a directory that only this user enters; one that is there is left as it is.
func privateDir(dir string) error { return os.MkdirAll(dir, 0o700) }

// writeWhole writes a file so that nobody ever sees a part of it.
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
