package identity

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLockDeadWaitsForAKeeper checks that a recovery waits for a shared lock, which a keeper has,
// and not for an exclusive one.
func TestLockDeadWaitsForAKeeper(t *testing.T) {
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
	if lockDead(next) {
		t.Error("lockDead returns true for a server that runs")
	}
	if err := flock(server, unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	got := make(chan bool)
	go func() { got <- lockDead(next) }()
	select {
	case <-got:
		t.Fatal("lockDead does not wait")
	case <-time.After(10 * lockPause):
	}
	_ = server.Close()
	if !<-got {
		t.Error("lockDead returns false after the keeper has unlocked the file")
	}
}

func TestOpenDeadIgnoresLivingServer(t *testing.T) {
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
	if _, ok, err := OpenDead(path, server.Number); ok || err != nil {
		t.Errorf("OpenDead of a living server: %v, %v", ok, err)
	}
	server.Close(false)
	dead, ok, err := OpenDead(path, server.Number)
	if !ok || err != nil || dead.Record.PID != os.Getpid() || !dead.Record.ThisBoot() || len(dead.Record.Cgroups) != 1 {
		t.Fatalf("OpenDead of a dead server: %+v, %v, %v", dead, ok, err)
	}
	dead.Close(true)
	if files, _ := List(dir); len(files) > 0 {
		t.Errorf("left: %v", files)
	}
}
