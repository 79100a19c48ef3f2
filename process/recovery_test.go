//go:build linux

package process

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/identity"
	"github.com/runnel-rpc/runnel/process/internal/leftover"
	"github.com/runnel-rpc/runnel/process/internal/memberwise"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// runServer is a server that will be killed. It starts trees, prints "ready", and waits.
func runServer(dir string) {
	if controller := os.Getenv("RUNNEL_TEST_CONTROLLER"); controller != "" {
		limiting = append(limiting, controller)
	}
	if os.Getenv("RUNNEL_TEST_STATE") == "none" {
		dir = ""
	}
	h, err := Open(Options{Containment: Containment(os.Getenv("RUNNEL_TEST_KIND")), StateDir: dir, Keeper: os.Getenv("RUNNEL_TEST_KEEPER") != ""})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	spec := Spec{Argv: strings.Fields(os.Getenv("RUNNEL_TEST_ARGV")), Env: testEnv}
	if n, _ := strconv.ParseInt(os.Getenv("RUNNEL_TEST_PROCESSES"), 10, 64); n > 0 {
		spec.Limits = Limits{Processes: n}
	}
	if uid, _ := strconv.ParseUint(os.Getenv("RUNNEL_TEST_USER"), 10, 32); uid > 0 {
		spec.User, spec.Dir = &User{UID: uint32(uid), GID: uint32(uid)}, "/"
	}
	if os.Getenv("RUNNEL_TEST_SANDBOX") != "" {
		spec.Sandbox, spec.Dir = readOnly(), "/"
		spec.Sandbox.Tmp = sandbox.Shared
	}
	for range serverTrees() {
		if _, err := h.Start(spec); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	fmt.Println("ready")
	time.Sleep(time.Hour) // select {} would be reported as a deadlock
}

// serverTrees is the number of trees of a server that is killed, of two processes each.
func serverTrees() int { return rounds(10, 50) }

// startServer starts a server with serverTrees trees, and waits until they run.
func startServer(t *testing.T, dir string, kind Containment, spec Spec, tag string, env ...string) *exec.Cmd {
	t.Helper()
	return startServerIn(t, dir, kind, spec, tag, nil, env...)
}

// startServerIn is startServer with the attributes of the server's process.
func startServerIn(t *testing.T, dir string, kind Containment, spec Spec, tag string, attr *syscall.SysProcAttr, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.SysProcAttr = attr
	cmd.Env = append(os.Environ(), "RUNNEL_TEST_CRASH="+dir, "RUNNEL_TEST_KIND="+string(kind), "RUNNEL_TEST_ARGV="+strings.Join(spec.Argv, " "),
		"RUNNEL_TEST_PROCESSES="+strconv.FormatInt(spec.Limits[Processes], 10))
	cmd.Env = append(cmd.Env, env...)
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatal(line)
	}
	if !poll(func() bool { return len(tagged(tag)) == 2*serverTrees() }) {
		t.Fatalf("%d processes run, want %d", len(tagged(tag)), 2*serverTrees())
	}
	return cmd
}

func TestOpenEndsTreesOfCrashedServer(t *testing.T) {
	eachHost(t, func(t *testing.T, h *Host) {
		bystander(t)
		dir := t.TempDir()
		spec, tag := runawaySpec(t, "fork", "double", "setsid", "close", "ignore", "clearenv", "stay")
		cmd := startServer(t, dir, h.kind, spec, tag)
		living := startOn(t, h, sh("exec sleep 60")) // of a server that did not crash
		groups := groupsIn(t, dir)
		if r, err := leftover.Recover(dir); err != nil || r != (leftover.Recovery{}) {
			t.Errorf("before the crash: %+v, %v", r, err)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		next, err := Open(Options{Containment: h.kind, StateDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if r, left := next.Recovered(), tagged(tag); r.Servers != 1 || r.Processes < serverTrees() || r.Left != 0 || len(left) > 0 {
			t.Errorf("%+v, alive: %v", r, left)
		}
		for _, group := range groups {
			if _, err := os.Stat(group); err == nil {
				t.Errorf("%s is left", group)
			}
		}
		if !alive(living.PID()) {
			t.Error("a process of another server was killed")
		}
		if files, _ := os.ReadDir(dir); len(files) != 1 || files[0].Name() != next.identity.Name() {
			t.Errorf("files: %v", files)
		}
		if err := next.Close(); err != nil {
			t.Error(err)
		}
		reapAdopted(2) // the bystander and the process of the other server
	})
}

// TestOpenEndsLimitedTreesOfCrashedServer checks that processes that are found only in cgroups of
// version 1 are killed, and those cgroups are removed in bounded time.
func TestOpenEndsLimitedTreesOfCrashedServer(t *testing.T) {
	for kind, want := range map[Containment]int{Marker: 2 * serverTrees(), Group: serverTrees()} { // the leaders of a group die with the server
		t.Run(string(kind), func(t *testing.T) {
			if by := needs(t, openHost(t, kind), Processes); by != ByCgroupV1 {
				t.Skip(by)
			}
			bystander(t)
			dir := t.TempDir()
			spec, tag := runawaySpec(t, "fork", "setsid", "close", "ignore", "stay")
			spec.Limits = Limits{Processes: 1000}
			cmd := startServer(t, dir, kind, spec, tag)
			groups := groupsIn(t, dir)
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			if kind == Group && !poll(func() bool { return len(tagged(tag)) == want }) {
				t.Fatalf("%d run", len(tagged(tag)))
			}
			began := time.Now()
			r, err := leftover.Recover(dir)
			if took := time.Since(began); took > memberwise.KillWait {
				t.Error("Recover took", took)
			}
			if left := tagged(tag); err != nil || r != (leftover.Recovery{Servers: 1, Processes: want}) || len(left) > 0 {
				t.Errorf("%+v, %v, alive: %v", r, err, left)
			}
			for _, group := range groups {
				if _, err := os.Stat(group); err == nil {
					t.Errorf("%s is left", group)
				}
			}
			if files, _ := os.ReadDir(dir); len(files) > 0 {
				t.Errorf("files: %v", files)
			}
			reapAdopted(1)
		})
	}
}

// reapAdopted reaps the processes that were reparented to this process when a server had ended,
// until at most some children are left.
func reapAdopted(some int) {
	poll(func() bool {
		all := children()
		for _, pid := range all {
			if state(pid) == 'Z' {
				_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
			}
		}
		return len(all) <= some
	})
}

// groupsIn lists the cgroups that the only server with a state file in dir may have made.
func groupsIn(t *testing.T, dir string) []string {
	t.Helper()
	files, _ := filepath.Glob(dir + "/*")
	var w identity.Record
	if len(files) == 1 {
		text, _ := os.ReadFile(files[0])
		_ = json.Unmarshal(text, &w)
	}
	if w.PID == 0 {
		t.Fatalf("%v: no record", files)
	}
	return w.Cgroups
}
