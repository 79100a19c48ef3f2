//go:build linux

package procfs

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestChildListOfEndedThread checks that an open list is not used once its thread has ended, and
// that the children are then on the list of the first thread.
func TestChildListOfEndedThread(t *testing.T) {
	lists := NewChildLists()
	defer lists.Close()
	type result struct {
		tid, child int
		children   []int
		err        error
	}
	forked := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		cmd := exec.Command("sleep", "60")
		err := cmd.Start()
		r := result{tid: unix.Gettid(), err: err}
		if err == nil {
			r.child = cmd.Process.Pid
			r.children, r.err = lists.Read(r.tid, r.child)
		}
		forked <- r
	}()
	r := <-forked
	if r.err != nil || !slices.Contains(r.children, r.child) || len(lists.fds) != 1 {
		t.Fatalf("%+v, %d open lists", r, len(lists.fds))
	}
	defer func() {
		_ = unix.Kill(r.child, unix.SIGKILL)
		_, _ = unix.Wait4(r.child, nil, 0, nil)
	}()
	if r.tid == os.Getpid() {
		return // the first thread does not end
	}
	for end := time.Now().Add(20 * time.Second); unix.Tgkill(os.Getpid(), r.tid, 0) != unix.ESRCH; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the thread does not end")
		}
	}
	if pids, err := lists.Read(r.tid, r.child); err != nil || len(pids) > 0 || len(lists.fds) > 0 {
		t.Errorf("children of the ended thread: %v, %v, %d open lists", pids, err, len(lists.fds))
	}
	if pids, err := lists.Read(os.Getpid(), 0); err != nil || !slices.Contains(pids, r.child) {
		t.Errorf("children of the first thread: %v, %v, want %d among them", pids, err, r.child)
	}
}
