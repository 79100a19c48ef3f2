package paramhash_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/session/spool/paramhash"
)

func open(t *testing.T, path string) *paramhash.Key {
	t.Helper()
	k, err := paramhash.Open(path, disk.OS{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	sum := open(t, path).Sum("params")
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != 0o600 || info.Size() != 32 {
		t.Fatalf("%v, %v", info, err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("%d files", len(list))
	}
	k := open(t, path)
	if k.Sum("params") != sum {
		t.Error("another key after it was read")
	}
	if k.Sum("other") == sum {
		t.Error("the same hash of other params")
	}
	if open(t, filepath.Join(dir, "key2")).Sum("params") == sum {
		t.Error("the same hash with another key")
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("params"))
	if [32]byte(mac.Sum(nil)) != sum {
		t.Error("not the HMAC-SHA256 with the bytes of the file")
	}
}

func TestUnusable(t *testing.T) {
	dir := t.TempDir()
	for name, create := range map[string]func(path string) error{
		"empty": func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"short": func(path string) error { return os.WriteFile(path, make([]byte, 31), 0o600) },
		"long":  func(path string) error { return os.WriteFile(path, make([]byte, 33), 0o600) },
		"group": func(path string) error {
			return errors.Join(os.WriteFile(path, make([]byte, 32), 0o600), os.Chmod(path, 0o640))
		},
		"others": func(path string) error {
			return errors.Join(os.WriteFile(path, make([]byte, 32), 0o600), os.Chmod(path, 0o602))
		},
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"link":      func(path string) error { return os.Symlink(os.DevNull, path) },
	} {
		path := filepath.Join(dir, name)
		if err := create(path); err != nil {
			t.Fatal(err)
		}
		_, err := paramhash.Open(path, disk.OS{})
		if !errors.Is(err, paramhash.ErrKey) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFaults checks that a key that could not be written is not left behind, and can be written
// later.
func TestFaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	faults := disk.NewFaults(disk.OS{})
	for name, fail := range map[string]func(){
		"open":  func() { faults.Fail(disk.Open, syscall.EROFS) },
		"write": func() { faults.Limit(20, syscall.ENOSPC) },
		"sync":  func() { faults.Fail(disk.Sync, syscall.EIO) },
		"name":  func() { faults.Fail(disk.Rename, syscall.EIO) },
	} {
		fail()
		if _, err := paramhash.Open(path, faults); err == nil {
			t.Errorf("%s: no error", name)
		}
		faults.Heal()
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(path+".new", []byte("half"), 0o600); err != nil { // by a crash
		t.Fatal(err)
	}
	if _, err := paramhash.Open(path, faults); err != nil {
		t.Fatal(err)
	}
	faults.Fail(disk.Read, syscall.EIO)
	if _, err := paramhash.Open(path, faults); !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
}
