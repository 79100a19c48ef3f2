//go:build linux

package process

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/cgroup"
	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/identity"
	"github.com/runnel-rpc/runnel/process/internal/mark"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
	"github.com/runnel-rpc/runnel/process/internal/serverwatch"
)

// keeperBound is how long a keeper may take: a second, and more on a machine that runs other tests.
const keeperBound = 5 * time.Second

const withKeeper = "RUNNEL_TEST_KEEPER=1"

// keepersOf lists the keepers among the children of a process.
func keepersOf(parent int) (pids []int) {
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range list {
		if args, _ := os.ReadFile(file); bytes.HasPrefix(args, []byte(serverwatch.Name+"\x00")) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if st, _ := procfs.ReadStat(pid); st.Parent == parent {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// awaitKeeper waits until a process has one keeper, and none of not.
func awaitKeeper(t *testing.T, parent int, not ...int) int {
	t.Helper()
	var pids []int
	if !poll(func() bool {
		pids = keepersOf(parent)
		return len(pids) == 1 && !slices.Contains(not, pids[0])
	}) {
		t.Fatalf("keepers: %v", pids)
	}
	return pids[0]
}

// containedSpec returns a command whose processes do not leave a tree of that containment.
func containedSpec(t *testing.T, kind Containment) (Spec, string) {
	if kind == Group {
		return runawaySpec(t, "fork", "close", "ignore", "stay")
	}
	return runawaySpec(t, "fork", "double", "setsid", "close", "ignore", "clearenv", "stay")
}

func eachKeeperContainment(t *testing.T, f func(t *testing.T, kind Containment)) {
	for _, kind := range []Containment{Cgroup, Marker, Group} {
		t.Run(string(kind), func(t *testing.T) {
			openHost(t, kind) // or skip
			bystander(t)
			f(t, kind)
		})
	}
}

func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// checkKeeperEnds checks that a keeper kills all processes of a crashed server, removes its cgroups
// and its state file, and exits.
func checkKeeperEnds(t *testing.T, keeper int, tag string, groups []string, dir string) {
	t.Helper()
	began := time.Now()
	left := func() (left []string) {
		for _, pid := range tagged(tag) {
			left = append(left, strconv.Itoa(pid))
		}
		for _, group := range groups {
			if _, err := os.Stat(group); err == nil {
				left = append(left, group)
			}
		}
		files, _ := filepath.Glob(dir + "/*")
		if left = append(left, files...); alive(keeper) {
			left = append(left, "keeper "+strconv.Itoa(keeper))
		}
		return left
	}
	_ = poll(func() bool { return len(left()) == 0 })
	if took := time.Since(began); took > keeperBound || len(left()) > 0 {
		t.Errorf("after %v, %q are left", took, left())
	} else {
		t.Logf("all is gone after %v", took)
	}
	reapAdopted(1)
}

// TestKeeperEndsTreesOfKilledServer checks that no process of a tree outlives a server that is
// killed, although no new server starts.
func TestKeeperEndsTreesOfKilledServer(t *testing.T) {
	eachKeeperContainment(t, func(t *testing.T, kind Containment) {
		dir := t.TempDir()
		spec, tag := containedSpec(t, kind)
		cmd := startServer(t, dir, kind, spec, tag, withKeeper)
		keeper, groups := awaitKeeper(t, cmd.Process.Pid), groupsIn(t, dir)
		kill(cmd)
		checkKeeperEnds(t, keeper, tag, groups, dir)
	})
}

// TestSandboxesOfKilledServer is TestKeeperEndsTreesOfKilledServer in sandboxes, which end even without
// a keeper.
func TestSandboxesOfKilledServer(t *testing.T) {
	eachKeeperContainment(t, func(t *testing.T, kind Containment) {
		needNamespaces(t, openHost(t, kind))
		dir := t.TempDir()
		spec, tag := runawaySpec(t, "fork", "double", "setsid", "close", "ignore", "clearenv", "stay")
		cmd := startServer(t, dir, kind, spec, tag, withKeeper, "RUNNEL_TEST_SANDBOX=1")
		keeper, groups := awaitKeeper(t, cmd.Process.Pid), groupsIn(t, dir)
		kill(cmd)
		checkKeeperEnds(t, keeper, tag, groups, dir)
	})
	t.Run("no keeper", func(t *testing.T) {
		needNamespaces(t, openHost(t, Group))
		bystander(t)
		spec, tag := runawaySpec(t, "fork", "double", "setsid", "close", "ignore", "clearenv", "stay")
		kill(startServer(t, t.TempDir(), Group, spec, tag, "RUNNEL_TEST_SANDBOX=1", "RUNNEL_TEST_STATE=none"))
		if !poll(func() bool { return len(tagged(tag)) == 0 }) {
			t.Errorf("%v are left", tagged(tag))
		}
		reapAdopted(1)
	})
}

func TestKeeperWithoutStateDirectory(t *testing.T) {
	eachKeeperContainment(t, func(t *testing.T, kind Containment) {
		dir := t.TempDir()
		spec, tag := containedSpec(t, kind)
		cmd := startServer(t, dir, kind, spec, tag, withKeeper, "RUNNEL_TEST_STATE=none")
		keeper := awaitKeeper(t, cmd.Process.Pid)
		args, _ := os.ReadFile("/proc/" + strconv.Itoa(keeper) + "/cmdline")
		number, err := strconv.ParseUint(strings.TrimPrefix(string(bytes.Split(args, []byte{0})[1]), "runnel-"), 16, 64)
		own, hierarchyErr := cgroup.OwnHierarchies()
		if err := errors.Join(err, hierarchyErr); err != nil {
			t.Fatal(err)
		}
		kill(cmd)
		checkKeeperEnds(t, keeper, tag, own.Dirs(identity.Name(number), limiting), dir)
	})
}

// TestKeeperIsRestarted checks that another keeper is started when one has ended, and that it
// receives the present groups.
func TestKeeperIsRestarted(t *testing.T) {
	eachKeeperContainment(t, func(t *testing.T, kind Containment) {
		dir := t.TempDir()
		spec, tag := containedSpec(t, kind)
		cmd := startServer(t, dir, kind, spec, tag, withKeeper)
		groups := groupsIn(t, dir)
		first := awaitKeeper(t, cmd.Process.Pid)
		_ = unix.Kill(first, unix.SIGKILL)
		second := awaitKeeper(t, cmd.Process.Pid, first)
		kill(cmd)
		checkKeeperEnds(t, second, tag, groups, dir)
	})
}

// TestKeeperIgnoresSignals checks that the signals that stop a server do not end its keeper, nor do
// signals to the server's group.
func TestKeeperIgnoresSignals(t *testing.T) {
	h, err := Open(Options{Containment: Group, Keeper: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	h.keeper.AwaitFirst()
	keeper := awaitKeeper(t, os.Getpid())
	ignored := func() bool {
		for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP} {
			if is, _ := proctable.Disposition(keeper, sig); !is {
				return false
			}
		}
		return true
	}
	if !poll(ignored) {
		t.Error("SIGTERM, SIGINT or SIGHUP is not ignored")
	}
	if st, _ := procfs.ReadStat(keeper); st.Session != keeper || st.Group != keeper {
		t.Errorf("%+v", st)
	}
	if dir, _ := os.Readlink("/proc/" + strconv.Itoa(keeper) + "/cwd"); dir != "/" {
		t.Error(dir)
	}
}

// TestKeeperInheritsNoDescriptors checks that a keeper has none of the server's descriptors, not
// even those without FD_CLOEXEC.
func TestKeeperInheritsNoDescriptors(t *testing.T) {
	var leaky [2]int
	if err := unix.Pipe(leaky[:]); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leaky[0])
	h, err := Open(Options{Containment: Group, Keeper: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	h.keeper.AwaitFirst()
	_ = unix.Close(leaky[1])
	fds := []unix.PollFd{{Fd: int32(leaky[0])}} // POLLHUP: the last write end is closed
	if n, err := unix.Poll(fds, int(patience.Milliseconds())); n != 1 || err != nil && err != unix.EINTR {
		t.Errorf("the keeper has inherited a pipe: %d, %v", n, err)
	}
}

// TestCloseEndsKeeper checks that Close of a Host ends its keeper, and that the keeper is not an
// orphan before.
func TestCloseEndsKeeper(t *testing.T) {
	eachKeeperContainment(t, func(t *testing.T, kind Containment) {
		some := len(children())
		h, err := Open(Options{Containment: kind, StateDir: t.TempDir(), Keeper: true, OnlyParent: true})
		if err != nil {
			t.Fatal(err)
		}
		p, err := h.Start(sh("exit 3"))
		if err != nil {
			t.Fatal(err)
		}
		awaitKeeper(t, os.Getpid())
		if m, ok := p.tree.(*mark.Tree); ok {
			if pids, certain, err := m.Orphans(); len(pids) > 0 || !certain || err != nil {
				t.Errorf("Orphans() = %v, %v, %v", pids, certain, err)
			}
		}
		if exit := finish(p); exit.Code != 3 && exit.Signal != syscall.SIGKILL {
			t.Errorf("%+v", exit)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if now := children(); len(now) > some {
			t.Errorf("children are left: %v", now)
		}
	})
}

// TestKeeperAndTheNextServer checks that a server that starts while the keeper of a crashed server
// works waits for it, or does the work itself.
func TestKeeperAndTheNextServer(t *testing.T) {
	eachKeeperContainment(t, func(t *testing.T, kind Containment) {
		for range rounds(1, 2) {
			dir := t.TempDir()
			spec, tag := containedSpec(t, kind)
			cmd := startServer(t, dir, kind, spec, tag, withKeeper)
			keeper, groups := awaitKeeper(t, cmd.Process.Pid), groupsIn(t, dir)
			kill(cmd)
			next, err := Open(Options{Containment: kind, StateDir: dir})
			if err != nil {
				t.Fatal(err)
			}
			if r, left := next.Recovered(), tagged(tag); r.Left > 0 || kind != Group && len(left) > 0 {
				t.Errorf("%+v, alive: %v", r, left)
			}
			p, err := next.Start(sh("sleep .1; exit 4"))
			if err != nil {
				t.Fatal(err)
			}
			_ = p.WaitExit()
			if exit := finish(p); exit.Code != 4 {
				t.Errorf("a process of the next server was killed: %+v", exit)
			}
			if err := next.Close(); err != nil {
				t.Error(err)
			}
			checkKeeperEnds(t, keeper, tag, groups, dir)
		}
	})
}

// enableController enables a controller for the children of a cgroup, and returns it.
func enableController(t *testing.T, dir string) string {
	t.Helper()
	text, _ := os.ReadFile(dir + "/cgroup.controllers")
	all := strings.Fields(string(text))
	if len(all) == 0 {
		skipUnlessRequired(t, "v2_controller", "no controller of version 2")
	}
	control := dir + "/cgroup.subtree_control"
	enabled, _ := os.ReadFile(control)
	if slices.Contains(strings.Fields(string(enabled)), all[0]) {
		return all[0]
	}
	if err := fdreserve.WriteFile(control, "+"+all[0]); err != nil {
		skipUnlessRequired(t, "v2_controller", err)
	}
	t.Cleanup(func() { _ = fdreserve.WriteFile(control, "-"+all[0]) })
	return all[0]
}

// TestKeeperOfServerInALeaf checks that the keeper of a server that has moved into a leaf is in
// that leaf too, and leaves it before it kills and removes it.
func TestKeeperOfServerInALeaf(t *testing.T) {
	own, _ := cgroup.OwnHierarchies()
	controller := enableController(t, own.V2)
	outer := filepath.Join(own.V2, "runnel-test-keeper."+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(outer, 0o755); err != nil {
		skipUnlessRequired(t, Cgroup, err)
	}
	defer func() {
		var err error
		// The kernel may remove a process from its cgroup after it has become a zombie.
		if !poll(func() bool { err = os.Remove(outer); return err == nil }) {
			t.Error(err)
		}
	}()
	fd, err := unix.Open(outer, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	dir := t.TempDir()
	spec, tag := containedSpec(t, Cgroup)
	cmd := startServerIn(t, dir, Cgroup, spec, tag, &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd},
		withKeeper, "RUNNEL_TEST_CONTROLLER="+controller)
	keeper, groups := awaitKeeper(t, cmd.Process.Pid), groupsIn(t, dir)
	if in, _ := os.ReadFile("/proc/" + strconv.Itoa(keeper) + "/cgroup"); !strings.Contains(string(in), "/"+cgroup.ServerLeaf+"\n") {
		t.Fatalf("the keeper is not in the leaf of the server: %s", in)
	}
	kill(cmd)
	checkKeeperEnds(t, keeper, tag, groups, dir)
	if left, _ := os.ReadFile(outer + "/cgroup.subtree_control"); strings.TrimSpace(string(left)) != "" {
		t.Errorf("%s is left enabled", left)
	}
}
