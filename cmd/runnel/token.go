package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// maxTokenFile is how many bytes of a token file are read.
	maxTokenFile = 64 << 10
	// tokenTimeout is how long to wait for the token if the token file is a pipe.
	tokenTimeout = 3 * time.Second
)

// readToken reads a token file. It fails if other users may read or write the file. The file may be
// a pipe, as in --token-file <(command).
func readToken(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // does not block on a FIFO without a writer
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", fmt.Errorf("token file %s: mode is %04o, must be 0600 (chmod 600 %s)", path, mode, path)
	}
	_ = f.SetReadDeadline(time.Now().Add(tokenTimeout)) // fails for a regular file, which does not block
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "", fmt.Errorf("token file %s: no token received within %v", path, tokenTimeout)
	}
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	switch {
	case token == "":
		return "", fmt.Errorf("token file %s is empty", path)
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", fmt.Errorf("token file %s: token must be one word of printable ASCII", path)
	}
	return token, nil
}

// ensureToken reads the token file of a server, or creates it with a new token if it does not exist.
func ensureToken(ctx context.Context, path string) (string, error) {
	dir := filepath.Dir(path)
	if err := makePrivateDir(dir); err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	unlock, err := lockDir(ctx, dir)
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	defer unlock()
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // clients must be able to read it, too
		return "", fmt.Errorf("token file %s: not a regular file", path)
	}
	token, err := readToken(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails (crypto/rand)
	token = hex.EncodeToString(secret[:])
	if err := writeAtomically(path, []byte(token+"\n")); err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	return token, nil
}
