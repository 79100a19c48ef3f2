//go:build linux

package fdreserve_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

// memoryV1 returns the directory of the version 1 memory cgroup of this process, or "" if there is
// none.
func memoryV1(t *testing.T) string {
	t.Helper()
	cgroups, err := procfs.OwnCgroups()
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := procfs.OwnMounts()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		if m.Type == "cgroup" && slices.Contains(m.Options, "memory") {
			return m.PathOf(cgroups.V1["memory"])
		}
	}
	return ""
}

// TestWriteFileRetriesOnEINTR checks that signals, which the Go runtime sends to its threads too,
// do not fail a write: the kernel refuses to change the memory limit of a version 1 cgroup with
// EINTR then.
func TestWriteFileRetriesOnEINTR(t *testing.T) {
	parent := memoryV1(t)
	dir := filepath.Join(parent, "runnel-test-signals")
	if parent == "" || os.Mkdir(dir, 0o755) != nil {
		t.Skip("NOT TESTED: no writable version 1 memory cgroup")
	}
	defer os.Remove(dir)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tid, stop, done := unix.Gettid(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Tgkill(os.Getpid(), tid, unix.SIGURG)
			}
		}
	}()
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		if err := fdreserve.WriteFile(filepath.Join(dir, "memory.limit_in_bytes"), "67108864"); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	<-done
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := fdreserve.WriteFile(file, "text"); !os.IsNotExist(err) {
		t.Errorf("WriteFile to a file that does not exist: %v", err)
	}
	long := make([]byte, 5000)
	for i := range long {
		long[i] = byte('a' + i%26)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := fdreserve.WriteFile(file, string(long)); err != nil {
		t.Error(err)
	}
	if got, err := fdreserve.ReadFile(file); string(got) != string(long) || err != nil {
		t.Errorf("ReadFile returned %d bytes of %d, %v", len(got), len(long), err)
	}
	buf := make([]byte, 10)
	if n, err := fdreserve.ReadOnce(file, buf); string(buf[:n]) != string(long[:10]) || err != nil {
		t.Errorf("ReadOnce = %q, %v", buf[:n], err)
	}
	if _, err := fdreserve.ReadOnce(dir+"/none", buf); err != unix.ENOENT {
		t.Errorf("ReadOnce of a file that does not exist: %v", err)
	}
	if err := os.Mkdir(dir+"/directory", 0o700); err != nil {
		t.Fatal(err)
	}
	names, err := fdreserve.ReadDirNames(dir)
	slices.Sort(names)
	if !slices.Equal(names, []string{"directory", "file"}) || err != nil {
		t.Errorf("ReadDirNames = %q, %v", names, err)
	}
	if dirs, err := fdreserve.Subdirectories(dir); !slices.Equal(dirs, []string{"directory"}) || err != nil {
		t.Errorf("Subdirectories = %q, %v", dirs, err)
	}
}
