//go:build linux

package process

import (
	"fmt"
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
	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

// inGroup runs a test again, as a process that is alone in a new control group which it may delegate from. It is true
// in that process, and false in the one that started it and saw it succeed.
func inGroup(t *testing.T, beside bool) bool {
	t.Helper()
	if os.Getenv("RUNNEL_TEST_GROUP") == t.Name() {
		return true
	}
	own, _ := ownHierarchies()
	if all := controllers(own.unified); len(all) > 0 { // the group has what its parent lets it have
		if new, err := delegate(own.unified, all[:1]); err == nil && len(new) > 0 {
			defer func() { _ = fdreserve.WriteFile(own.unified+"/cgroup.subtree_control", "-"+all[0]) }()
		}
	}
	dir := filepath.Join(own.unified, "runnel-test."+strconv.Itoa(os.Getpid()))
	if own.unified == "" || os.Mkdir(dir, 0o755) != nil {
		t.Skip("no control group can be made")
	}
	defer func() {
		if err := removeCgroup(dir); err != nil {
			t.Error(err)
		}
	}()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	born := &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
	if beside {
		sleeper := exec.Command("sleep", "600")
		sleeper.SysProcAttr = born
		if err := sleeper.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() }()
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "RUNNEL_TEST_GROUP="+t.Name())
	cmd.SysProcAttr = born
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "--- SKIP") {
		t.Skip(string(out))
	}
	return false
}

// aController is one of version 2 that this machine has, if not one that is of use.
func aController(t *testing.T, own hierarchies) string {
	t.Helper()
	all := controllers(own.unified)
	if len(all) == 0 {
		t.Skip("no controller of version 2")
	}
	return all[0]
}

// A server that is alone in its control group makes room for controllers by going into a leaf, and comes back.
func TestServerMakesRoomForControllers(t *testing.T) {
	if !inGroup(t, false) {
		return
	}
	own, err := ownHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	controller := aController(t, own)
	tree, err := newSubtree(own, "runnel-00000001", []string{controller, "none"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(tree.controllers, []string{controller}) || !tree.moved {
		t.Errorf("%+v", tree)
	}
	if pids, _ := processesIn(tree.dir + "/server"); !slices.Equal(pids, []int{os.Getpid()}) {
		t.Errorf("in the leaf of the server: %v", pids)
	}
	l, err := tree.take()
	if err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(l.path() + "/" + controller + ".*"); len(files) == 0 {
		t.Errorf("%s does not bound a leaf", controller)
	}
	h := &Host{kind: Cgroup, sys: system(), means: means{subtree: tree}}
	tree.give(l)
	p := startOn(t, h, Spec{Argv: []string{"cat", "/proc/self/cgroup"}, Env: testEnv})
	if out, _ := readAll(p.Stdout()); !strings.Contains(out, "0::"+own.shown+"/runnel-00000001/") {
		t.Errorf("%q", out)
	}
	finish(p)
	if err := tree.close(); err != nil {
		t.Error(err)
	}
	if now, _ := ownHierarchies(); now.unified != own.unified {
		t.Errorf("it is in %s, not back in %s", now.unified, own.unified)
	}
	if left, _ := os.ReadFile(own.unified + "/cgroup.subtree_control"); strings.TrimSpace(string(left)) != "" {
		t.Errorf("%s is left enabled", left)
	}
}

// The trees together may have fewer processes than the server.
func TestTreesAreBoundedBelowTheServer(t *testing.T) {
	own, err := ownHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(controllers(own.unified), "pids") {
		t.Skip("SKIPPED: no pids controller of version 2 is delegated")
	}
	if !inGroup(t, false) {
		return
	}
	if err := fdreserve.WriteFile(own.unified+"/pids.max", "100"); err != nil {
		t.Fatal(err)
	}
	tree, err := newSubtree(own, "runnel-00000001", []string{"pids"}, 32)
	if err != nil {
		t.Fatal(err)
	}
	if got := number(tree.leaves(), "pids.max"); got != 68 || tree.leaves() == tree.dir {
		t.Errorf("%s: pids.max is %d", tree.leaves(), got)
	}
	h := &Host{kind: Cgroup, sys: system(), means: means{subtree: tree}}
	p := startOn(t, h, Spec{Argv: []string{"cat", "/proc/self/cgroup"}, Env: testEnv})
	if out, _ := readAll(p.Stdout()); !strings.Contains(out, "0::"+own.shown+"/runnel-00000001/sessions/") {
		t.Errorf("%q", out)
	}
	finish(p)
	if err := tree.close(); err != nil {
		t.Error(err)
	}
}

func TestProcessesAllowed(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a/b/c/d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, most := range map[string]string{"a": "", "a/b": "70\n", "a/b/c": "max\n", "a/b/c/d": "90\n"} {
		write(t, filepath.Join(dir, name, "cgroup.procs"), "", 0o644)
		if most != "" {
			write(t, filepath.Join(dir, name, "pids.max"), most, 0o644)
		}
	}
	for name, want := range map[string]int64{"a": 0, "a/b": 70, "a/b/c": 70, "a/b/c/d": 70} {
		if got, bounded := processesAllowed(filepath.Join(dir, name)); got != want || bounded != (want > 0) {
			t.Errorf("%s: %d, %t", name, got, bounded)
		}
	}
}

// Nobody else is moved: where others are in its control group, a server does without controllers.
func TestServerMovesNobodyElse(t *testing.T) {
	if !inGroup(t, true) {
		return
	}
	own, err := ownHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := newSubtree(own, "runnel-00000001", []string{aController(t, own)}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.controllers) > 0 || tree.moved {
		t.Errorf("%+v", tree)
	}
	if err := tree.close(); err != nil {
		t.Error(err)
	}
}

// Leaves in which memory is counted are not used again: the next one is there already, and the last one goes away.
func TestCountingLeavesAreNotUsedAgain(t *testing.T) {
	h := openHost(t, Cgroup)
	h.subtree.controllers = append(h.subtree.controllers, "memory") // as if
	seen := make(map[string]bool)
	for range 20 {
		p := startOn(t, h, Spec{Argv: []string{"cat", "/proc/self/cgroup"}, Env: testEnv})
		out, _ := readAll(p.Stdout())
		finish(p)
		if seen[out] {
			t.Fatalf("%q twice", out)
		}
		seen[out] = true
	}
	leaves := func() []string {
		all, _ := filepath.Glob(h.subtree.dir + "/[0-9]*")
		return all
	}
	if !poll(func() bool { return len(leaves()) <= 2 }) {
		t.Errorf("%v are left", leaves())
	}
}

// A leaf that its last tree has spoilt is no leaf for the next one.
func TestSpoiltLeaf(t *testing.T) {
	h := openHost(t, Cgroup)
	for name, spoil := range map[string]string{
		"killed":  "cgroup.kill 1",
		"frozen":  "cgroup.freeze 1",
		"divided": "",
	} {
		script := `d=` + filepath.Dir(h.subtree.dir) + `$(sed -n "s/^0:://p" /proc/self/cgroup | sed "s,^` + strings.TrimSuffix(h.subtree.shown, "/"+h.instance.name()) + `,,"); `
		file, value, ok := strings.Cut(spoil, " ")
		if ok {
			script += fmt.Sprintf("echo %s >$d/%s", value, file)
		} else {
			script += "mkdir $d/child"
		}
		p := startOn(t, h, sh(script))
		if name == "frozen" { // it stands still, and can be killed all the same
			if !poll(func() bool { n, _ := p.tree.(*cgroup).leaf.event("frozen"); return n == 1 }) {
				t.Fatal("not frozen")
			}
		} else {
			_ = p.WaitExit()
		}
		spoilt := p.tree.(*cgroup).leaf
		finish(p)
		for range 3 {
			if out, exit := lifeOn(t, h, sh("echo fine")); out != "fine\n" || exit.Code != 0 {
				t.Errorf("after one that was %s: %q, %+v", name, out, exit)
			}
		}
		if slices.Contains(h.subtree.spare, spoilt) {
			t.Errorf("one that was %s is used again", name)
		}
	}
}

// A command with the rights of the server that removes the groups of ended trees keeps no later one from starting.
func TestRemovedSubtree(t *testing.T) {
	h := openHost(t, Cgroup)
	lifeOn(t, h, sh("true"))
	if err := removeCgroup(h.subtree.dir); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if out, exit := lifeOn(t, h, sh("echo fine")); out != "fine\n" || exit.Code != 0 {
			t.Errorf("%q, %+v", out, exit)
		}
	}
}

func TestParseHierarchies(t *testing.T) {
	const cgroups = "12:pids:/a/b\n4:cpu,cpuacct:/\n1:name=systemd:/x\n0::/user.slice/a b\n"
	const mounts = `22 1 0:20 / / rw - ext4 /dev/root rw
30 22 0:26 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw
31 22 0:27 /a /sys/fs/cgroup/pids rw shared:5 - cgroup cgroup rw,pids
32 22 0:28 / /sys/fs/cgroup/cpu\040acct rw - cgroup cgroup rw,cpu,cpuacct
33 22 0:29 /other /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
`
	h := hierarchiesOf(procfs.ParseCgroups([]byte(cgroups)), procfs.ParseMounts([]byte(mounts)))
	if h.unified != "/sys/fs/cgroup/unified/user.slice/a b" || h.shown != "/user.slice/a b" {
		t.Errorf("%+v", h)
	}
	if h.v1["pids"] != "/sys/fs/cgroup/pids/b" || h.v1["cpuacct"] != "/sys/fs/cgroup/cpu acct" || h.v1["name=systemd"] != "" || h.v1["memory"] != "" {
		t.Errorf("%+v", h.v1)
	}
	if h := hierarchiesOf(procfs.ParseCgroups([]byte("0::/../x\n")), procfs.ParseMounts([]byte(mounts))); h.unified != "" {
		t.Errorf("outside of the name space: %+v", h)
	}
}

func FuzzParseHierarchies(f *testing.F) {
	f.Add([]byte("0::/a\n1:pids:/"), []byte(`30 22 0:26 / /sys/fs/c\040g rw - cgroup2 cgroup2 rw`))
	f.Add([]byte("0::\n::"), []byte(`1 2 3 \ \04 x - cgroup y pids,\n`))
	f.Fuzz(func(t *testing.T, cgroups, mounts []byte) {
		h := hierarchiesOf(procfs.ParseCgroups(cgroups), procfs.ParseMounts(mounts))
		for _, dir := range append([]string{h.unified}, h.v1["pids"]) {
			if strings.Contains(dir, "/../") {
				t.Errorf("%q", dir)
			}
		}
	})
}
