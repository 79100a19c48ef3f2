//go:build linux

package process

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
)

// The runtime and SIGCHLD interrupt threads all the time. The kernel then refuses to change the memory limit of a control
// group of version 1 with EINTR.
func TestSignalsFailNoWrite(t *testing.T) {
	h := openHost(t, Group)
	if h.v1["memory"] == "" {
		t.Skip("NO MEMORY CONTROLLER OF VERSION 1, so this is not tested")
	}
	dir := filepath.Join(h.v1["memory"], "signals")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	thread, stop, done := unix.Gettid(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Tgkill(os.Getpid(), thread, unix.SIGURG)
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
