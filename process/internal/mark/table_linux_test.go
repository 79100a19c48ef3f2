package mark

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/proctest"
)

// openProvider opens a provider that is closed when the test is over.
func openProvider(t *testing.T, all bool) *Provider {
	t.Helper()
	table, err := NewTable(42, all)
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("RUNNEL_TEST_REQUIRE"), ","), "marker") {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	p := NewProvider(table, leader.System())
	t.Cleanup(func() {
		_ = p.Close()
		if !proctest.Poll(func() bool { return len(proctest.Children()) == 0 }) {
			t.Errorf("children are left: %v", proctest.Children())
		}
	})
	return p
}

// TestLeaderIsNoOrphanDuringItsFork checks that a leader that changes its mark and exits before its
// fork has returned is not reaped as an orphan, though all unmarked children are orphans.
func TestLeaderIsNoOrphanDuringItsFork(t *testing.T) {
	table := openProvider(t, true).table
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	mark, pid, err := table.Fork(nil, func() (int, error) {
		pid, err := syscall.ForkExec(bash, []string{"bash", "-c", "ulimit -S -R 1000000"}, &syscall.ProcAttr{})
		if err == nil {
			err = leader.AwaitChild(pid)
		}
		table.reapOrphans()
		return pid, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); got != pid {
		t.Error("the leader was reaped:", err)
	}
	table.Reaped(pid)
	table.Release(mark)
}

// TestReleaseKeepsAnotherLeader checks the release of a tree whose leader was reaped and whose
// process id is that of another leader by now.
func TestReleaseKeepsAnotherLeader(t *testing.T) {
	const pid, first, second = 1234, 1, 2
	table := &Table{enabled: true, marks: true, trees: map[uint64]treeEntry{first: {leader: pid}}, forked: map[int]uint64{pid: first}}
	table.Reaped(pid)
	table.trees[second], table.forked[pid] = treeEntry{leader: pid}, second
	table.Release(first)
	if table.forked[pid] != second {
		t.Error("the leader of the second tree is removed")
	}
	table.Release(second)
	if len(table.forked)+len(table.trees) > 0 {
		t.Errorf("forked children %v, trees %v are left", table.forked, table.trees)
	}
}

// zombies counts the children that have exited.
func zombies() (n int) {
	for _, pid := range proctest.Children() {
		if proctest.State(pid) == 'Z' {
			n++
		}
	}
	return n
}

// TestReapingReleasesLocksAfterABatch checks that the locks are released after each batch when many
// orphans exit at once, and that the tree is still found to have no processes.
func TestReapingReleasesLocksAfterABatch(t *testing.T) {
	p := openProvider(t, false)
	p.table.stopReaper()
	defer p.table.startReaper()
	const orphans = 3 * reapBatch
	tree := proctest.Start(t, p, `i=0; while [ $i -lt `+strconv.Itoa(orphans)+` ]; do (true &); i=$((i+1)); done; echo; exec sleep 60`)
	_ = tree.ReadLine()
	if !proctest.Poll(func() bool { return zombies() >= orphans }) {
		t.Fatalf("%d orphans have exited, want %d", zombies(), orphans)
	}
	for want := orphans - reapBatch; want > 0; want -= reapBatch {
		_, more, err := p.table.orphansOf(treeEntry{})
		if err != nil || !more || zombies() != want {
			t.Errorf("more is %v, %v; %d zombies are left, want %d", more, err, zombies(), want)
		}
	}
	if pids, certain, err := tree.Tree.(*Tree).Orphans(); len(pids) > 0 || !certain || err != nil || zombies() > 0 {
		t.Errorf("Orphans() = %v, %v, %v; %d zombies are left", pids, certain, err, zombies())
	}
}

// awaitSearch waits for a search of the reaper that begins after the call.
func awaitSearch(t *testing.T, table *Table) {
	t.Helper()
	for range 2 { // the first may have begun before
		done := table.reaper.searches.Load()
		table.wakeReaper()
		if !proctest.Poll(func() bool { return table.reaper.searches.Load() > done }) {
			t.Fatal("the reaper does not search")
		}
	}
}

// TestReaperListensWhileThereMayBeOrphans checks that SIGCHLD is requested only while there may be
// orphans, and not for a command that is shorter than reapDelayYoung.
func TestReaperListensWhileThereMayBeOrphans(t *testing.T) {
	p := openProvider(t, false)
	reaper := &p.table.reaper
	listens, ignores := reaper.listening.Load, func() bool { return !reaper.listening.Load() }
	short := func() bool { // a command can take longer on a busy machine
		requests, begin := reaper.requests.Load(), time.Now()
		proctest.Start(t, p, "true").End()
		took := time.Since(begin)
		awaitSearch(t, p.table)
		if took < reapDelayYoung && reaper.requests.Load() != requests {
			t.Errorf("the reaper listens for a command of %v", took)
		}
		return took < reapDelayYoung
	}
	if !proctest.Poll(short) {
		t.Fatalf("no command took less than %v", reapDelayYoung)
	}
	if !proctest.Poll(ignores) {
		t.Error("the reaper listens after short commands")
	}
	tree := proctest.Start(t, p, "exec sleep 60")
	if !proctest.Poll(listens) {
		t.Error("the reaper does not listen while a command runs")
	}
	_ = tree.Signal(syscall.SIGKILL)
	_ = tree.Leader.Wait()
	awaitSearch(t, p.table) // after it, only the release of the tree wakes the reaper
	tree.End()
	if !proctest.Poll(ignores) {
		t.Error("the reaper listens after all trees have ended")
	}
	tree = proctest.Start(t, p, "(sleep 60 &); echo; exec sleep 60")
	_ = tree.ReadLine()
	p.NoteUnverified()
	_ = tree.Signal(syscall.SIGKILL)
	tree.End()
	awaitSearch(t, p.table)
	if !listens() {
		t.Error("the reaper does not listen although an orphan may be left")
	}
}

// TestUnreapedLeaderIsAnOrphan checks that a leader which was not reaped before its tree is released
// is reaped as an orphan, even if the last search was before the release.
func TestUnreapedLeaderIsAnOrphan(t *testing.T) {
	p := openProvider(t, false)
	tree := proctest.Start(t, p, "true")
	_ = tree.Leader.Wait()
	awaitSearch(t, p.table)
	if state := proctest.State(tree.Leader.PID); state != 'Z' {
		t.Errorf("before the release of its tree, the leader is in state %q, want Z", state)
	}
	tree.CloseUnreaped()
	if !proctest.Poll(func() bool { return proctest.State(tree.Leader.PID) == 0 }) {
		t.Error("the leader is not reaped")
	}
}

func TestMarkIdentifiesServerAndTree(t *testing.T) {
	for _, instance := range []uint64{1, 42, MaxInstance - 1} {
		m := Of(instance, 1<<40|7)
		if !isMark(m) || Instance(m) != instance || m == Of(instance, 8) || m != Of(instance, 7) {
			t.Errorf("Of(%d, 7) = %x, Instance is %d", instance, m, Instance(m))
		}
	}
}
