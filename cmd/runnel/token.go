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
	// maxTokenFile is the largest token file that is read.
	maxTokenFile = 64 << 10
	// tokenWait is how long a token file that is a pipe has to deliver the token.
	tokenWait = 3 * time.Second
)

// readToken reads a token file. It refuses one that other users may read or write. The file may be a
// pipe, as in --token-file <(command).
func readToken(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO without a writer is opened at once
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", fmt.Errorf("token file %s: its mode is %04o, which lets others in; make it 0600", path, mode)
	}
	_ = f.SetReadDeadline(time.Now().Add(tokenWait)) // a regular file has none and needs none
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "", fmt.Errorf("token file %s: no token came within %v", path, tokenWait)
	}
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	switch {
	case token == "":
		return "", fmt.Errorf("token file %s is empty", path)
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", fmt.Errorf("token file %s: a token is one word of ASCII", path)
	}
	return token, nil
}

// ensureToken reads the token file of a server, or makes one with a new token where there is none.
func ensureToken(ctx context.Context, path string) (string, error) {
	dir := filepath.Dir(path)
	if err := privateDir(dir); err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	unlock, err := lockDir(ctx, dir)
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	defer unlock()
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // clients are to read it, too
		return "", fmt.Errorf("token file %s: not a regular file", path)
	}
	token, err := readToken(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails (crypto/rand)
	token = hex.EncodeToString(secret[:])
	if err := writeWhole(path, []byte(token+"\n")); err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	return token, nil
}
