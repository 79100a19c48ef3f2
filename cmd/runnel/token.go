package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// readToken reads a token file. Others' rights on it are refused: a token that others read is none.
func readToken(path string) (string, error) {
	f, err := os.Open(path)
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
	text, err := io.ReadAll(f)
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

// ensureToken reads the token file, or makes one with a new token where there is none.
func ensureToken(path string) (string, error) {
	dir := filepath.Dir(path)
	if err := privateDir(dir); err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	defer unlock()
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
