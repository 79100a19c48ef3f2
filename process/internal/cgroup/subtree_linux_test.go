package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/proctest"
)

// TestServerMovesToEnableControllers checks that a server that is alone in its cgroup moves into a
// leaf to enable controllers, and moves back.
func TestServerMovesToEnableControllers(t *testing.T) {
	if !inOwnCgroup(t, false) {
		return
	}
	own, err := OwnHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	controller := anyController(t, own)
	p, err := tryOpen(own, []string{controller, "none"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := p.subtree
	if !slices.Equal(s.Controllers, []string{controller}) || !s.Moved {
		t.Errorf("%+v", s.Delegation)
	}
	if pids, _ := processesIn(s.dir + "/" + ServerLeaf); !slices.Equal(pids, []int{os.Getpid()}) {
		t.Errorf("the leaf of the server has the processes %v", pids)
	}
	l, err := s.take()
	if err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(l.path() + "/" + controller + ".*"); len(files) == 0 {
		t.Errorf("%s does not limit a leaf", controller)
	}
	s.give(l)
	if out, _ := outputOf(t, p, "grep ^0: /proc/self/cgroup"); !strings.Contains(out, "0::"+own.Shown+"/"+testName+"/") {
		t.Errorf("the tree is in %q", out)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if now, _ := OwnHierarchies(); now.V2 != own.V2 {
		t.Errorf("the server is in %s, not back in %s", now.V2, own.V2)
	}
	if left, _ := os.ReadFile(own.V2 + "/cgroup.subtree_control"); strings.TrimSpace(string(left)) != "" {
		t.Errorf("%s is left enabled", left)
	}
}

// TestTreesAreLimitedBelowTheServer checks that the limit of processes of all trees together is
// below that of the server.
func TestTreesAreLimitedBelowTheServer(t *testing.T) {
	own, err := OwnHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(controllersIn(own.V2), "pids") {
		skipUnlessRequired(t, needsPids, "no pids controller of version 2 is delegated")
	}
	if !inOwnCgroup(t, false) {
		return
	}
	if err := fdreserve.WriteFile(own.V2+"/pids.max", "100"); err != nil {
		t.Fatal(err)
	}
	p, err := tryOpen(own, []string{"pids"}, 32)
	if err != nil {
		t.Fatal(err)
	}
	s := p.subtree
	if got := readNumber(s.leaves(), "pids.max"); got != 68 || s.leaves() == s.dir {
		t.Errorf("%s: pids.max is %d, want 68", s.leaves(), got)
	}
	if out, _ := outputOf(t, p, "grep ^0: /proc/self/cgroup"); !strings.Contains(out, "0::"+own.Shown+"/"+testName+limitedDir+"/") {
		t.Errorf("the tree is in %q", out)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestProcessesAllowed(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a/b/c/d"), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, most := range map[string]string{"a": "", "a/b": "70\n", "a/b/c": "max\n", "a/b/c/d": "90\n"} {
		write(name+"/cgroup.procs", "")
		if most != "" {
			write(name+"/pids.max", most)
		}
	}
	for name, want := range map[string]int64{"a": 0, "a/b": 70, "a/b/c": 70, "a/b/c/d": 70} {
		if got, limited := processesAllowed(filepath.Join(dir, name)); got != want || limited != (want > 0) {
			t.Errorf("processesAllowed(%s) = %d, %t, want %d", name, got, limited, want)
		}
	}
}

// TestServerDoesNotMoveOthers checks that a server that shares its cgroup with another process
// enables no controllers.
func TestServerDoesNotMoveOthers(t *testing.T) {
	if !inOwnCgroup(t, true) {
		return
	}
	own, err := OwnHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	p, err := tryOpen(own, []string{anyController(t, own)}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if d := p.Delegation(); len(d.Controllers) > 0 || d.Moved {
		t.Errorf("%+v", d)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// TestLeavesThatCountMemoryAreNotReused checks that leaves in which memory is counted are not
// reused: the next one is made ahead of time, and the last one is removed.
func TestLeavesThatCountMemoryAreNotReused(t *testing.T) {
	p := openProvider(t)
	p.subtree.Controllers = append(p.subtree.Controllers, "memory") // only in the subtree, not in the kernel
	seen := make(map[string]bool)
	for range 20 {
		out, _ := outputOf(t, p, "grep ^0: /proc/self/cgroup")
		if seen[out] {
			t.Fatalf("%q is reused", out)
		}
		seen[out] = true
	}
	leaves := func() []string {
		all, _ := filepath.Glob(p.subtree.dir + "/[0-9]*")
		return all
	}
	if !proctest.Poll(func() bool { return len(leaves()) <= 2 }) {
		t.Errorf("%v are left", leaves())
	}
}

// TestUnusableLeafIsNotReused checks that a leaf that a command has made unusable is not reused,
// and that the start is retried if it is.
func TestUnusableLeafIsNotReused(t *testing.T) {
	p := openProvider(t)
	for name, change := range map[string]string{
		"killed":  killFile + " 1",
		"frozen":  freezeFile + " 1",
		"divided": "",
	} {
		script := `d=` + filepath.Dir(p.subtree.dir) + `$(sed -n "s/^0:://p" /proc/self/cgroup | sed "s,^` + strings.TrimSuffix(p.subtree.shown, "/"+testName) + `,,"); `
		file, value, ok := strings.Cut(change, " ")
		if ok {
			script += fmt.Sprintf("echo %s >$d/%s", value, file)
		} else {
			script += "mkdir $d/child"
		}
		tree := proctest.Start(t, p, script)
		used := leafOf(tree)
		if name == "frozen" { // a frozen process can be killed
			if !proctest.Poll(func() bool { n, _ := used.event("frozen"); return n == 1 }) {
				t.Fatal("the leaf is not frozen")
			}
			tree.Kill()
		}
		tree.End()
		for range 3 {
			if out, exit := outputOf(t, p, "echo fine"); out != "fine" || exit.Code != 0 {
				t.Errorf("after a leaf that was %s: %q, %+v", name, out, exit)
			}
		}
		if slices.Contains(p.subtree.spare, used) {
			t.Errorf("a leaf that was %s is reused", name)
		}
	}
}

// TestStartAfterTheSubtreeWasRemoved checks that a command with the rights of the server that
// removes the cgroups of ended trees does not prevent later starts.
func TestStartAfterTheSubtreeWasRemoved(t *testing.T) {
	p := openProvider(t)
	outputOf(t, p, "echo")
	if err := Remove(p.subtree.dir); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if out, exit := outputOf(t, p, "echo fine"); out != "fine" || exit.Code != 0 {
			t.Errorf("%q, %+v", out, exit)
		}
	}
}
