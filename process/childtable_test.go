//go:build linux

package process

import (
	"os/exec"
	"syscall"
	"testing"
)

// A leader that sheds its mark and dies before anyone knows of it is no orphan, though those without a mark are ours too.
func TestLeaderIsNoOrphanBeforeItIsKnown(t *testing.T) {
	h := openHost(t, Marker)
	h.table.mu.Lock()
	h.table.all = true
	h.table.mu.Unlock()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	func() {
		mark, pid, err := h.table.fork(func() (int, error) {
			pid, err := syscall.ForkExec(bash, []string{"bash", "-c", "ulimit -S -R 1000000"}, &syscall.ProcAttr{})
			if err == nil {
				_, err = exited(pid, 0)
			}
			h.table.reapOrphans()
			return pid, err
		})
		if err != nil {
			t.Error(err)
			return
		}
		if got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); got != pid {
			t.Error("somebody reaped it:", err)
		}
		h.table.reaped(pid)
		h.table.release(mark)
	}()
}

// The number of a leader that was reaped may be that of another one when its tree is released.
func TestReleaseLeavesTheNextLeaderAlone(t *testing.T) {
	const pid, first, second = 1234, 1, 2
	b := &childTable{trees: map[uint64]treeEntry{first: {leader: pid}}, leaders: map[int]uint64{pid: first}}
	b.reaped(pid)
	b.trees[second], b.leaders[pid] = treeEntry{leader: pid}, second
	b.release(first)
	if b.leaders[pid] != second {
		t.Error("the second one's leader is forgotten")
	}
	b.release(second)
	if len(b.leaders)+len(b.trees) > 0 {
		t.Errorf("%v, %v", b.leaders, b.trees)
	}
}
