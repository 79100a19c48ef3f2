package pgroup

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/mark"
	"github.com/runnel-rpc/runnel/process/internal/proctest"
)

// TestLeadersAreKilledWhenTheForkingThreadEnds checks that a leader is killed when the forking
// thread ends, as at the exit of this process, and not before.
func TestLeadersAreKilledWhenTheForkingThreadEnds(t *testing.T) {
	for range 20 {
		p := New(leader.System(), mark.NewUnmarkedTable(false), untracked{})
		var thread int
		p.forker.do(func() { thread = unix.Gettid() })
		tree := proctest.Start(t, p, "exec sleep 60")
		runtime.GC() // which stops and starts threads
		if !proctest.Alive(tree.Leader.PID) {
			t.Error("the leader was killed too early")
		}
		_ = p.Close()
		if thread == os.Getpid() {
			continue // the runtime does not end the first thread
		}
		if !proctest.Poll(func() bool { return !proctest.Alive(tree.Leader.PID) }) {
			t.Error("the leader outlives the forking thread")
		}
		return
	}
}
