package paramhash

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/runnel-rpc/runnel/session/spool/disk"
)

const keyBytes = 32

// ErrKey is a file that cannot be used as a key. The message of an error that wraps it has the
// path.
var ErrKey = errors.New("not a usable key file")

// Key is a secret key. It may be used concurrently.
type Key struct {
	secret [keyBytes]byte
}

// Open reads the key in a file, or creates the file with a random key and mode 0600. A file of
// another size, that is not regular, or that its group or others may access, is ErrKey.
//
// Two servers must not call Open for the same path at the same time.
func Open(path string, files disk.Files) (*Key, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return create(path, files)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: %w: not a regular file", path, ErrKey)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s: %w: mode %#o, must be 0600", path, ErrKey, info.Mode().Perm())
	case info.Size() != keyBytes:
		return nil, fmt.Errorf("%s: %w: %d bytes, must have %d", path, ErrKey, info.Size(), keyBytes)
	}
	return read(path, files)
}

func read(path string, files disk.Files) (*Key, error) {
	f, err := files.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	k := &Key{}
	if n, err := f.ReadAt(k.secret[:], 0); n < keyBytes {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// create writes a new key under another name first, so that a crash leaves no key that is too
// short.
func create(path string, files disk.Files) (*Key, error) {
	k := &Key{}
	_, _ = rand.Read(k.secret[:]) // never fails
	begun := path + ".new"
	if err := files.Remove(begun); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	err := write(begun, k.secret[:], files)
	if err == nil {
		err = files.Rename(begun, path)
	}
	if err != nil {
		_ = files.Remove(begun)
		return nil, err
	}
	if err := files.SyncDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return k, nil
}

// write creates a file and makes its content durable.
func write(path string, b []byte, files disk.Files) error {
	f, err := files.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Sum returns the HMAC-SHA256 of params.
func (k *Key) Sum(params string) [sha256.Size]byte {
	mac := hmac.New(sha256.New, k.secret[:])
	mac.Write([]byte(params))
	return [sha256.Size]byte(mac.Sum(nil))
}
