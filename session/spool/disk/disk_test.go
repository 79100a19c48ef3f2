package disk_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"github.com/runnel-rpc/runnel/session/spool/disk"
)

func open(t *testing.T, files disk.Files, flag int) disk.File {
	t.Helper()
	f, err := files.OpenFile(filepath.Join(t.TempDir(), "file"), flag|os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestHoles(t *testing.T) {
	f := open(t, disk.OS{}, 0)
	const n = 1 << 20
	if _, err := f.WriteAt(bytes.Repeat([]byte{'x'}, n), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	before, err := f.Allocated()
	if err != nil || before < n {
		t.Fatalf("%d bytes allocated, %v", before, err)
	}
	if err := f.PunchHole(0, n/2); errors.Is(err, disk.ErrNoHoles) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	after, err := f.Allocated()
	if err != nil || after > before-n/2 {
		t.Errorf("%d bytes allocated, %d before, %v", after, before, err)
	}
	if offset, err := f.SkipHole(0); offset != n/2 || err != nil {
		t.Errorf("data begins at %d, %v", offset, err)
	}
	if offset, err := f.SkipHole(n/2 + 5); offset != n/2+5 || err != nil {
		t.Errorf("data begins at %d, %v", offset, err)
	}
	if offset, err := f.SkipHole(2 * n); offset != 2*n || err != nil {
		t.Errorf("data begins at %d, %v", offset, err)
	}
	if size, err := f.Size(); size != n || err != nil {
		t.Errorf("size %d, %v", size, err)
	}
}

func TestCache(t *testing.T) {
	f := open(t, disk.OS{}, 0)
	data := bytes.Repeat([]byte{'x'}, 1<<16)
	if _, err := f.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.StartWriting(0, 1<<16); err != nil {
		t.Error(err)
	}
	if err := f.DropCache(0, 1<<16); err != nil {
		t.Error(err)
	}
	got := make([]byte, len(data))
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the content has changed, or %v", err)
	}
}

func TestFaults(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	f := open(t, faults, 0)
	failing := map[disk.Operation]func() error{
		disk.Open:     func() error { _, err := faults.OpenFile(os.DevNull, os.O_RDONLY, 0); return err },
		disk.Rename:   func() error { return faults.Rename("a", "b") },
		disk.Remove:   func() error { return faults.Remove("a") },
		disk.Read:     func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		disk.Write:    func() error { _, err := f.WriteAt(make([]byte, 1), 0); return err },
		disk.Truncate: func() error { return f.Truncate(0) },
		disk.Sync:     f.Sync,
		disk.Punch:    func() error { return f.PunchHole(0, 1) },
	}
	for o, call := range failing {
		faults.Fail(o, syscall.EIO)
		if err := call(); !errors.Is(err, syscall.EIO) {
			t.Errorf("operation %d: %v", o, err)
		}
		faults.Heal()
		if err := call(); errors.Is(err, syscall.EIO) {
			t.Errorf("operation %d fails after Heal", o)
		}
	}
}

func TestLimit(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	f := open(t, faults, 0)
	faults.Limit(10, syscall.ENOSPC)
	if n, err := f.WriteAt(make([]byte, 8), 0); n != 8 || err != nil {
		t.Errorf("%d bytes written, %v", n, err)
	}
	if n, err := f.WriteAt(make([]byte, 8), 8); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%d bytes written, %v", n, err)
	}
	if size, err := f.Size(); size != 10 || err != nil {
		t.Errorf("size %d, %v", size, err)
	}
	faults.Heal()
	if _, err := f.WriteAt(make([]byte, 8), 10); err != nil {
		t.Error(err)
	}
}

func TestLimitDirect(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	f, err := faults.OpenFile(filepath.Join(t.TempDir(), "file"), disk.Direct|os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	b := make([]byte, 3*disk.Align)
	b = b[disk.Align-int(uintptr(unsafe.Pointer(&b[0]))%disk.Align):][:2*disk.Align]
	faults.Limit(disk.Align+10, syscall.ENOSPC)
	if n, err := f.WriteAt(b, 0); n != disk.Align || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%d bytes written, %v", n, err)
	}
}

func TestHang(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	f := open(t, faults, 0)
	faults.Hang(disk.Write)
	done := make(chan error)
	go func() {
		_, err := f.WriteAt([]byte("x"), 0)
		done <- err
	}()
	faults.AwaitHanging(1)
	if size, _ := f.Size(); size != 0 {
		t.Error("a write that hangs has written")
	}
	faults.Heal()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if size, _ := f.Size(); size != 1 {
		t.Error("a write that continues has not written")
	}
}
