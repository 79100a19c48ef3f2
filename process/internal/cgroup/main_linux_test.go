package cgroup

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/mark"
	"github.com/runnel-rpc/runnel/process/internal/proctest"
)

const testName = "runnel-00000001"

// What a test may need: cgroups of version 2, and their first controller or pids, if these can be
// enabled for the children of the cgroup of this process.
const (
	needsCgroup     = "cgroup"
	needsController = "v2_controller"
	needsPids       = "v2_pids"
)

// skipUnlessRequired skips a test, or fails it if RUNNEL_TEST_REQUIRE says that the machine has
// what the test needs (.ci/run).
func skipUnlessRequired(t *testing.T, what string, reason any) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("RUNNEL_TEST_REQUIRE"), ","), what) {
		t.Fatalf("%s is required: %v", what, reason)
	}
	t.Skip("SKIPPED: ", reason)
}

func tryOpen(own Hierarchies, controllers []string, reserve int) (*Provider, error) {
	table, err := mark.NewTable(1, false)
	if err != nil {
		table = mark.NewUnmarkedTable(false)
	}
	p, err := New(Config{
		Hierarchies: own, Name: testName, Controllers: controllers, Reserve: reserve, Number: 1, Table: table, Kernel: leader.System(),
	})
	if err != nil {
		table.Close()
	}
	return p, err
}

// openProvider opens a provider that is closed when the test is over.
func openProvider(t *testing.T) *Provider {
	t.Helper()
	own, err := OwnHierarchies()
	if err != nil {
		skipUnlessRequired(t, needsCgroup, err)
	}
	p, err := tryOpen(own, nil, 0)
	if err != nil {
		skipUnlessRequired(t, needsCgroup, err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(own.V2, testName)); err == nil {
			t.Error("the subtree is left")
		}
		if !proctest.Poll(func() bool { return len(proctest.Children()) == 0 }) {
			t.Errorf("children are left: %v", proctest.Children())
		}
	})
	return p
}

// leafOf returns the leaf of a tree.
func leafOf(tree *proctest.Tree) *leaf { return tree.Tree.(*Tree).leaf }

// outputOf returns the first line that a script writes, after its end.
func outputOf(t *testing.T, p *Provider, script string) (string, leader.Exit) {
	t.Helper()
	tree := proctest.Start(t, p, script)
	line := tree.ReadLine()
	exit, _ := tree.End()
	return line, exit
}

// inOwnCgroup runs a test again in a process that is alone in a new cgroup, with all controllers
// that can be enabled there. It returns true in that process, and false in the one that has started
// it.
func inOwnCgroup(t *testing.T, withSibling bool) bool {
	t.Helper()
	if os.Getenv("RUNNEL_TEST_GROUP") == t.Name() {
		return true
	}
	own, _ := OwnHierarchies()
	for _, controller := range controllersIn(own.V2) { // the new cgroup has the controllers that its parent enables
		if enabled, err := enable(own.V2, []string{controller}); err == nil && len(enabled) > 0 {
			defer func() { _ = fdreserve.WriteFile(own.V2+"/cgroup.subtree_control", "-"+controller) }()
		}
	}
	dir := filepath.Join(own.V2, "runnel-test."+strconv.Itoa(os.Getpid()))
	if own.V2 == "" {
		skipUnlessRequired(t, needsCgroup, "no hierarchy of version 2")
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		skipUnlessRequired(t, needsCgroup, err)
	}
	defer func() {
		var err error
		if !proctest.Poll(func() bool { err = Remove(dir); return err == nil }) {
			t.Error(err)
		}
	}()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	inDir := &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
	if withSibling {
		sleeper := exec.Command("sleep", "600")
		sleeper.SysProcAttr = inDir
		if err := sleeper.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() }()
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "RUNNEL_TEST_GROUP="+t.Name())
	cmd.SysProcAttr = inDir
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil && strings.Contains(string(out), "--- SKIP"):
		t.Skip(string(out))
	case err != nil || !strings.Contains(string(out), "--- PASS"):
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// anyController returns a controller of version 2 that this machine has.
func anyController(t *testing.T, own Hierarchies) string {
	t.Helper()
	all := controllersIn(own.V2)
	if len(all) == 0 {
		skipUnlessRequired(t, needsController, "no controller of version 2 is enabled")
	}
	return all[0]
}
