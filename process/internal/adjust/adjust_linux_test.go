package adjust

import (
	"os"
	"os/exec"
	"testing"

	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/pgroup"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/proctest"
)

// TestReusedProcessID checks that a process which got the process id of a reaped leader is not
// adjusted.
func TestReusedProcessID(t *testing.T) {
	own, err := procfs.OwnOOMScoreAdj()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command("sleep", "600")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	}()
	a := &Adjuster{values: values{oomScore: own + 3}}
	tree := proctest.Start(t, pgroup.NewPlain(leader.System()), "exit 0")
	tree.End()
	tree.Leader.PID = other.Process.Pid
	c := command{tree.Leader, tree.Tree}
	if !a.adjustLeader(c) {
		t.Error("a leader that was reaped is to be adjusted again")
	}
	a.setScores(c)
	if got, err := procfs.OOMScoreAdj(other.Process.Pid); got != own || err != nil {
		t.Errorf("score %d, %v, was %d", got, err, own)
	}
}

// TestScoreOfDescendants checks a descendant that was forked before its leader was adjusted, and
// that Close waits for the searches.
func TestScoreOfDescendants(t *testing.T) {
	own, err := procfs.OwnOOMScoreAdj()
	if err != nil {
		t.Fatal(err)
	}
	var a Adjuster
	a.Open(Options{OOMScoreAdj: own + 3})
	defer a.Close()
	tree := proctest.Start(t, pgroup.NewPlain(leader.System()), "sleep 600 & echo $!; wait")
	child := tree.ReadPID()
	a.Started(tree.Leader, tree.Tree)
	for _, pid := range []int{tree.Leader.PID, child} {
		if !proctest.Poll(func() bool { got, err := procfs.OOMScoreAdj(pid); return got == own+3 && err == nil }) {
			t.Errorf("the score of %d stays as it was", pid)
		}
	}
}

func TestValues(t *testing.T) {
	own, err := procfs.OwnOOMScoreAdj()
	if err != nil {
		t.Fatal(err)
	}
	if v := valuesOf(Options{OOMScoreAdj: own}); v.oomScore != noScore {
		t.Errorf("score %d, want none for the own score", v.oomScore)
	}
	if v := valuesOf(Options{OOMScoreAdj: own + 1}); v.oomScore != own+1 {
		t.Errorf("score %d, want %d", v.oomScore, own+1)
	}
	if v := valuesOf(Options{ReserveProcesses: 32}); os.Geteuid() == 0 && v.processes != nil {
		t.Error("RLIMIT_NPROC does not apply to root")
	}
	for limit, want := range map[uint64]uint64{10: 1, 32: 1, 100: 68} {
		if got := withoutReserve(limit, 32); got != want {
			t.Errorf("withoutReserve(%d, 32) = %d, want %d", limit, got, want)
		}
	}
	var a Adjuster
	a.Started(nil, nil) // nothing is enabled
	a.Close()
}
