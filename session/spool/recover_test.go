package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// killed changes files a number of times, and not again, as a process that is killed then. The last
// write is half done.
type killed struct {
	disk.Files
	left atomic.Int64
}

var errKilled = errors.New("killed")

func (k *killed) change(f func() error) error {
	if k.left.Add(-1) < 0 {
		return errKilled
	}
	return f()
}

func (k *killed) OpenFile(path string, flag int, perm fs.FileMode) (f disk.File, err error) {
	open := func() error {
		f, err = k.Files.OpenFile(path, flag, perm)
		return err
	}
	if flag&(os.O_CREATE|os.O_TRUNC) != 0 {
		err = k.change(open)
	} else {
		err = open()
	}
	if err != nil {
		return nil, err
	}
	return &killedFile{f, k}, nil
}

func (k *killed) Rename(from, to string) error {
	return k.change(func() error { return k.Files.Rename(from, to) })
}

func (k *killed) Remove(path string) error {
	return k.change(func() error { return k.Files.Remove(path) })
}

type killedFile struct {
	disk.File
	of *killed
}

func (f *killedFile) WriteAt(b []byte, offset int64) (n int, err error) {
	err = f.of.change(func() error {
		if f.of.left.Load() == 0 {
			n, _ = f.File.WriteAt(b[:len(b)/2/disk.Align*disk.Align], offset)
			return errKilled
		}
		n, err = f.File.WriteAt(b, offset)
		return err
	})
	return n, err
}

func (f *killedFile) Truncate(size int64) error {
	return f.of.change(func() error { return f.File.Truncate(size) })
}

func (f *killedFile) PunchHole(offset, n int64) error {
	return f.of.change(func() error { return f.File.PunchHole(offset, n) })
}

// A server that is killed at any step of the recovery leaves to the next one what it has found.
func TestKilledRecovery(t *testing.T) {
	o := testOptions()
	o.WindowBytes = 2 << 20
	dir := t.TempDir()
	sp := openSpool(t, dir, o)
	var fakes []*fake
	var shown []int
	for i, n := range []int{0, 1, 5000, 100_000, 700_000} {
		f := startFake(t, sp, "o", fmt.Sprint(i))
		f.write(n)
		awaitVisible(f)
		fakes, shown = append(fakes, f), append(shown, n)
	}
	left := t.TempDir()
	copyDir(t, dir, left)
	for _, f := range fakes {
		f.end()
	}
	sp.Close()

	steps := int64(0)
	for done := false; !done; steps++ {
		dir := t.TempDir()
		copyDir(t, left, dir)
		files := &killed{Files: disk.OS{}}
		files.left.Store(steps)
		o.Files = files
		if sp, err := Open(dir, o); err == nil {
			done = files.left.Load() > 0
			sp.Close()
		}
		o.Files = nil
		sp := openSpool(t, dir, o)
		for i, f := range fakes {
			r := readKept(t, sp, "o", fmt.Sprint(i))
			if r.record != `"lost"` || r.gaps != 0 || len(r.text) < shown[i] || !bytes.HasPrefix(f.written, r.text) {
				t.Errorf("killed after %d steps, session %d: record %s, %d gaps, %d of %d bytes", steps, i, r.record, r.gaps, len(r.text), shown[i])
			}
		}
		sp.Close()
	}
	if steps < 10 {
		t.Errorf("%d steps", steps)
	}
}

// TestForeignFiles: what is in the directory and is not of the spool is reported, with a bound, and stays.
func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	openSpool(t, dir, testOptions()).Close()
	for i := range maxForeign + 3 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("foreign%d", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	o := testOptions()
	o.Log = zerolog.New(&log)
	openSpool(t, dir, o).Close()
	text := log.String()
	if n := strings.Count(text, "not a file of the spool"); n != maxForeign || !strings.Contains(text, `"count":3`) || !strings.Contains(text, "/foreign0") {
		t.Errorf("%d files are reported: %.1000s", n, text)
	}
	if list, err := filepath.Glob(filepath.Join(dir, "foreign*")); len(list) != maxForeign+3 {
		t.Errorf("%d files are left, %v", len(list), err)
	}
}
