//go:build linux

package process

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/execfile"
	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
)

const deafPair = `trap '' TERM; setsid sh -c 'trap "" TERM; echo $$; while :; do sleep 60 & wait; done' &
	echo $$; while :; do sleep 60 & wait; done`

// controlled pauses, resumes and ends a tree of two shells that ignore SIGTERM.
func controlled(t *testing.T, p *Process, pids [2]int) {
	t.Helper()
	if living, err := p.Members(); err != nil || len(living) < 2 {
		t.Errorf("living: %v, %v", living, err)
	}
	if err := errors.Join(p.Pause(), p.Resume(), p.Terminate()); err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); err != nil {
			t.Errorf("%d has ended already: %v", pid, err)
		}
	}
	_ = p.Kill()
	_ = p.WaitExit()
	if r := p.Sweep(context.Background(), 0); len(r.Survivors) > 0 || r.Unverified {
		t.Errorf("%+v", r)
	}
}

// untilEnd sees a tree to its end that nobody kills.
func untilEnd(p *Process) Exit {
	_ = p.WaitExit()
	p.Sweep(context.Background(), 0)
	exit, _ := p.Reap()
	p.Close()
	return exit
}

// With many trees, the leaves of those that start last keep no descriptors, and all else is the same.
func TestLeafWithoutDescriptors(t *testing.T) {
	h := openHost(t, Cgroup)
	h.subtree.open = maxOpenLeaves
	before := len(descriptors())
	p := startOn(t, h, sh(deafPair))
	leaf := p.tree.(*cgroup).leaf
	pids := [2]int{readPID(t, p.Stdout()), readPID(t, p.Stdout())}
	if leaf.dir >= 0 || leaf.events >= 0 || leaf.cpu >= 0 || h.subtree.open != maxOpenLeaves {
		t.Errorf("%+v, %d", leaf, h.subtree.open)
	}
	if n := len(descriptors()) - before; n > 3+execfile.MaxCached { // two pipes and a pidfd, and what is held for the next start
		t.Errorf("%d descriptors more", n)
	}
	free := fillDescriptors(t)
	controlled(t, p, pids)
	exit, err := p.Reap()
	free()
	if err != nil || exit.Signal != syscall.SIGKILL || alive(pids[0]) || alive(pids[1]) {
		t.Errorf("%+v, %v, alive: %v, %v", exit, err, alive(pids[0]), alive(pids[1]))
	}
	p.Close()

	q := startOn(t, h, sh("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"))
	used := q.tree.(*cgroup).leaf
	if exit := untilEnd(q); exit.UserTime+exit.SystemTime < 10*time.Millisecond {
		t.Errorf("%+v", exit)
	}
	h.subtree.open = 0
	r := startOn(t, h, sh("exit 4"))
	if again := r.tree.(*cgroup).leaf; h.subtree.again() && again != used || again.dir < 0 || h.subtree.open != 1 {
		t.Errorf("%+v after %+v, %d", again, used, h.subtree.open)
	}
	if exit := untilEnd(r); exit.Code != 4 || h.subtree.open != 0 {
		t.Errorf("%+v, %d", exit, h.subtree.open)
	}
}

// A command with the rights of the server can leave its leaf and make that a threaded one, which has neither cgroup.procs nor
// cgroup.kill. The next tree in that leaf is controlled as any other.
func TestThreadedLeaf(t *testing.T) {
	h := openHost(t, Cgroup)
	p := startOn(t, h, sh(leave(t, h)+"echo $$; exec sleep 60"))
	readPID(t, p.Stdout())
	leaf := p.tree.(*cgroup).leaf
	if err := fdreserve.WriteFile(leaf.path()+"/cgroup.type", "threaded"); err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(p.PID(), syscall.SIGTERM)
	untilEnd(p)
	q := startOn(t, h, sh(deafPair))
	pids := [2]int{readPID(t, q.Stdout()), readPID(t, q.Stdout())}
	if h.subtree.again() && q.tree.(*cgroup).leaf != leaf {
		t.Error("it has another leaf")
	}
	if _, err := os.ReadFile(leaf.path() + "/cgroup.procs"); !errors.Is(err, syscall.EOPNOTSUPP) {
		t.Errorf("cgroup.procs: %v", err)
	}
	controlled(t, q, pids)
	if _, err := q.Reap(); err != nil || alive(pids[0]) || alive(pids[1]) {
		t.Errorf("%v, alive: %v, %v", err, alive(pids[0]), alive(pids[1]))
	}
}
