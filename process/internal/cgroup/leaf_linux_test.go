package cgroup

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/proctest"
)

// Two shells that ignore SIGTERM, one in another session.
const ignoringPair = `trap '' TERM; setsid sh -c 'trap "" TERM; echo $$; while :; do sleep 60 & wait; done' &
	echo $$; while :; do sleep 60 & wait; done`

// checkControl pauses, resumes, terminates and kills an ignoringPair.
func checkControl(t *testing.T, tree *proctest.Tree, pids [2]int) {
	t.Helper()
	if members, err := tree.Members(); err != nil || len(members) < 2 {
		t.Errorf("Members() = %v, %v", members, err)
	}
	if err := errors.Join(tree.Pause(), tree.Resume(), tree.Terminate(syscall.SIGTERM)); err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); err != nil {
			t.Errorf("%d has ended already: %v", pid, err)
		}
	}
	_ = tree.Signal(syscall.SIGKILL)
	_ = tree.Leader.Wait()
	if !tree.Kill() {
		t.Error("the tree does not end")
	}
}

func descriptors() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}

// TestLeafWithoutDescriptors checks that if many trees run, the leaves of the last ones keep no
// descriptors, and everything else is the same.
func TestLeafWithoutDescriptors(t *testing.T) {
	p := openProvider(t)
	p.subtree.open = maxOpenLeaves
	before := descriptors()
	tree := proctest.Start(t, p, ignoringPair)
	l := leafOf(tree)
	pids := [2]int{tree.ReadPID(), tree.ReadPID()}
	if l.dir >= 0 || l.events >= 0 || l.cpu >= 0 || p.subtree.open != maxOpenLeaves {
		t.Errorf("leaf %+v, %d are open", l, p.subtree.open)
	}
	if n := descriptors() - before; n > 3 { // two pipes and a pidfd
		t.Errorf("%d more descriptors", n)
	}
	if err := fdreserve.Acquire(); err != nil {
		t.Fatal(err)
	}
	defer fdreserve.Release()
	free := proctest.FillDescriptors(t)
	checkControl(t, tree, pids)
	free()
	if exit, _ := tree.End(); exit.Signal != syscall.SIGKILL || proctest.Alive(pids[0]) || proctest.Alive(pids[1]) {
		t.Errorf("%+v, alive: %v, %v", exit, proctest.Alive(pids[0]), proctest.Alive(pids[1]))
	}

	busy := proctest.Start(t, p, "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")
	used := leafOf(busy)
	if _, usage := busy.End(); !usage.HasTimes || usage.UserTime+usage.SystemTime < 10*time.Millisecond {
		t.Errorf("%+v", usage)
	}
	p.subtree.open = 0
	next := proctest.Start(t, p, "exit 4")
	if l := leafOf(next); p.subtree.reuses() && l != used || l.dir < 0 || p.subtree.open != 1 {
		t.Errorf("leaf %+v after %+v, %d are open", l, used, p.subtree.open)
	}
	if exit, _ := next.End(); exit.Code != 4 || p.subtree.open != 0 {
		t.Errorf("%+v, %d are open", exit, p.subtree.open)
	}
}

// TestThreadedLeaf checks the next tree in a leaf that a command, with the rights of the server,
// has left and made a threaded cgroup, which has neither cgroup.procs nor cgroup.kill.
func TestThreadedLeaf(t *testing.T) {
	p := openProvider(t)
	tree := proctest.Start(t, p, "echo $$ >"+p.subtree.Own+"/cgroup.procs; echo $$; exec sleep 60")
	pid := tree.ReadPID()
	l := leafOf(tree)
	if err := fdreserve.WriteFile(l.path()+"/cgroup.type", "threaded"); err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(pid, syscall.SIGTERM)
	tree.End()
	next := proctest.Start(t, p, ignoringPair)
	pids := [2]int{next.ReadPID(), next.ReadPID()}
	if p.subtree.reuses() && leafOf(next) != l {
		t.Error("the leaf is not reused")
	}
	if _, err := os.ReadFile(l.path() + "/cgroup.procs"); !errors.Is(err, syscall.EOPNOTSUPP) {
		t.Errorf("cgroup.procs: %v", err)
	}
	checkControl(t, next, pids)
	next.End()
	if proctest.Alive(pids[0]) || proctest.Alive(pids[1]) {
		t.Errorf("alive: %v, %v", proctest.Alive(pids[0]), proctest.Alive(pids[1]))
	}
}
