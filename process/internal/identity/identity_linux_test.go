package identity

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLockCrashedWaitsForAKeeper checks that a recovery waits for a shared lock, which a keeper
// has, and not for an exclusive one.
func TestLockCrashedWaitsForAKeeper(t *testing.T) {
	path := filepath.Join(t.TempDir(), Name(10))
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	server, next := open(), open()
	defer next.Close()
	if err := flock(server, unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if lockCrashed(next) {
		t.Error("lockCrashed returns true for a server that runs")
	}
	if err := flock(server, unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	got := make(chan bool)
	go func() { got <- lockCrashed(next) }()
	select {
	case <-got:
		t.Fatal("lockCrashed does not wait")
	case <-time.After(10 * lockInterval):
	}
	_ = server.Close()
	if !<-got {
		t.Error("lockCrashed returns false after the keeper has unlocked the file")
	}
}

func TestOpenCrashedIgnoresRunningServer(t *testing.T) {
	dir := t.TempDir()
	var server Identity
	if err := server.Open(dir); err != nil {
		t.Fatal(err)
	}
	if err := server.Write([]string{"/a"}); err != nil {
		t.Fatal(err)
	}
	files, err := List(dir)
	path := files[server.Number]
	if err != nil || len(files) != 1 || filepath.Base(path) != server.Name() {
		t.Fatalf("List() = %v, %v", files, err)
	}
	if _, ok, err := OpenCrashed(path, server.Number); ok || err != nil {
		t.Errorf("OpenCrashed of a running server: %v, %v", ok, err)
	}
	server.Close(false)
	crashed, ok, err := OpenCrashed(path, server.Number)
	if !ok || err != nil || crashed.Record.PID != os.Getpid() || !crashed.Record.ThisBoot() || len(crashed.Record.Cgroups) != 1 {
		t.Fatalf("OpenCrashed of a crashed server: %+v, %v, %v", crashed, ok, err)
	}
	crashed.Close(true)
	if files, _ := List(dir); len(files) > 0 {
		t.Errorf("left: %v", files)
	}
}
