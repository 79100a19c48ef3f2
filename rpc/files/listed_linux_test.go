package files

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestListedBytes checks that a listing and a walk have a bound in bytes.
func TestListedBytes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := os.WriteFile(fmt.Sprintf("%s/%0200d", dir, i), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	options := WalkOptions{MaxDepth: 1, MaxDirectories: 10, MaxEntries: 100}
	size := len(dir) + 201
	for limit, most := range map[int]int{20 * size: 20, 20*size - 1: 19, 5 * size: 5} {
		r, err := newOwner(t, Options{listedBytes: limit}).Walk(ctx, everything, at(dir), options)
		if err != nil || len(r.Entries) != most || r.Truncated != (most < 20) {
			t.Errorf("limit %d: %d entries, truncated %v, %v", limit, len(r.Entries), r.Truncated, err)
		}
	}
	_, err = newOwner(t, Options{listedBytes: 4000}).ReadDirectory(ctx, everything, at(dir))
	wantKind(t, "a listing within the limit", err, nil)
	_, err = newOwner(t, Options{listedBytes: 3999}).ReadDirectory(ctx, everything, at(dir))
	wantKind(t, "a listing beyond the limit", err, ErrTooLarge)
}

// TestWalkLongPaths checks that a walk reports no path that no request could name.
func TestWalkLongPaths(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("d", 250)
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for range 20 {
		if err == nil {
			err = unix.Mkdirat(fd, name, 0o700)
		}
		next := -1
		if err == nil {
			next, err = unix.Openat(fd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		}
		_ = unix.Close(fd)
		fd = next
	}
	_ = unix.Close(fd)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newOwner(t, Options{}).Walk(context.Background(), everything, at(dir), WalkOptions{MaxDepth: 30, MaxDirectories: 100, MaxEntries: 100})
	if err != nil || !r.Truncated || len(r.Entries) < 10 || len(r.Errors) != 0 {
		t.Errorf("%d entries, errors %v, truncated %v, %v", len(r.Entries), r.Errors, r.Truncated, err)
	}
	for _, e := range r.Entries {
		if len(e.Path) > MaxPathBytes {
			t.Errorf("a path of %d bytes", len(e.Path))
		}
	}
}
