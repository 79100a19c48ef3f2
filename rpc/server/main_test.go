//go:build linux

package server_test

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process"
)

// testTimeout bounds every wait of these tests. None needs more than a fraction of it on an idle
// machine.
const testTimeout = 40 * time.Second

// releaseTimeout is how soon all resources have to be released.
const releaseTimeout = 5 * time.Second

// The tests are for Linux only: they inspect processes and descriptors in /proc.

// TestMain fails if the tests leave a goroutine, a descriptor or a child behind.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "10") // those that run in parallel mostly wait
	process.Step()
	warm := make(chan os.Signal, 1)
	signal.Notify(warm, syscall.SIGCHLD) // starts a goroutine that never ends, once
	signal.Stop(warm)
	if p, err := (*process.Host)(nil).Start(process.Spec{Argv: []string{"/bin/true"}}); err == nil {
		p.Discard() // a nil Host has a poller that never ends
	}
	_ = usedResources() // what a process opens only once is open now
	before := usedResources()
	code := openHost()
	if code == 0 {
		code = m.Run()
		if err := host.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	var after resources
	if !poll(func() bool { return before.released(&after) }) {
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		fmt.Fprintf(os.Stderr, "LEFT BEHIND\nbefore: %v\nafter:  %v\n", before, after)
		code = max(code, 1)
	}
	os.Exit(code)
}

// host starts the sessions of most tests, with the containment of RUNNEL_TEST_CONTAINMENT, else
// with process groups.
var host *process.Host

func openHost() int {
	kind := os.Getenv("RUNNEL_TEST_CONTAINMENT")
	if kind == "" {
		return 0
	}
	var err error
	if host, err = process.Open(process.Options{Containment: process.Containment(kind)}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// resources are the resources of a process that have to be released.
type resources struct {
	goroutines  int
	descriptors []string // without those of the runtime, which it opens once
	children    []string // zombies too
}

func usedResources() resources {
	return resources{runtime.NumGoroutine(), descriptors(), children()}
}

func (h resources) within(before resources) bool {
	return h.goroutines <= before.goroutines && len(h.descriptors) <= len(before.descriptors) && len(h.children) <= len(before.children)
}

// released reports whether no more resources are used than before, and sets what is used.
func (h resources) released(now *resources) bool {
	if *now = usedResources(); now.within(h) {
		return true
	}
	if now.splices() {
		runtime.GC() // closes the pipes that package net keeps for splice(2) of the proxies of tests
	}
	return false
}

// splices reports whether there is a pipe of which this process has both ends.
func (h resources) splices() bool {
	ends := make(map[string]int)
	for _, d := range h.descriptors {
		_, target, _ := strings.Cut(d, ":")
		if ends[target]++; strings.HasPrefix(target, "pipe:") && ends[target] == 2 {
			return true
		}
	}
	return false
}

func (h resources) String() string {
	return fmt.Sprintf("%d goroutines, descriptors %v, children %v", h.goroutines, h.descriptors, h.children)
}

// awaitReleased fails the test unless all resources used since before are released within
// releaseTimeout.
func awaitReleased(t testing.TB, before resources) {
	t.Helper()
	var after resources
	if !pollFor(releaseTimeout, func() bool { return before.released(&after) }) {
		t.Errorf("not released\nbefore: %v\nafter:  %v", before, after)
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
	}
}

// parallelTests are the names of the tests that run in parallel.
var parallelTests sync.Map

// runParallel makes a test that mostly waits run in parallel with others, after all that do not.
// Resources can be counted only when all of them have ended.
func runParallel(t *testing.T) {
	parallelTests.Store(t.Name(), true)
	t.Parallel()
}

// rounds returns how often a test repeats something: full with RUNNEL_TEST_FULL=1, which .ci/run
// sets, else few.
func rounds(few, full int) int {
	if os.Getenv("RUNNEL_TEST_FULL") != "" {
		return full
	}
	return few
}

// runsAlone reports whether no other test runs.
func runsAlone(t testing.TB) bool {
	name, _, _ := strings.Cut(t.Name(), "/")
	_, ok := parallelTests.Load(name)
	return !ok
}

// descriptors lists those of this process, as fd:target.
func descriptors() (list []string) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && !strings.HasPrefix(target, "anon_inode:[event") && !ofHost(target) {
			list = append(list, e.Name()+":"+target)
		}
	}
	return list
}

// ofHost reports whether the host of all tests keeps a file open: a control group that it uses
// again, a program for a second after its exec, or the children list of a thread, of which it
// keeps at most 16. The journal of a spool is like that.
func ofHost(target string) bool {
	return strings.Contains(target, "/runnel-") || strings.HasPrefix(target, "/usr/") || strings.HasSuffix(target, "/children") ||
		strings.Contains(target, "/journal-")
}

// children lists those of this process as pid:state.
func children() (list []string) {
	for pid := range processes() {
		if fields := stat(pid); len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			list = append(list, strconv.Itoa(pid)+":"+fields[0])
		}
	}
	return list
}

// processes iterates over all process ids.
func processes() func(func(int) bool) {
	return func(yield func(int) bool) {
		entries, _ := os.ReadDir("/proc")
		for _, e := range entries {
			if pid, err := strconv.Atoi(e.Name()); err == nil && !yield(pid) {
				return
			}
		}
	}
}

// stat returns the fields of /proc/PID/stat after the name: state, parent, group, session, …
func stat(pid int) []string {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(line[strings.LastIndexByte(string(line), ')')+1:]))
}

func alive(pid int) bool {
	fields := stat(pid)
	return len(fields) > 0 && !slices.Contains([]string{"Z", "X"}, fields[0])
}

// processesOf lists the living processes that have treeID in their environment: a whole tree, in
// whatever groups.
func processesOf(treeID string) (pids []int) {
	for pid := range processes() {
		env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if strings.Contains(string(env), treeID) && alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// poll waits for ok, at most for testTimeout.
func poll(ok func() bool) bool { return pollFor(testTimeout, ok) }

// pollFor waits for ok, at most for d. The pauses get longer, since many checks read all of /proc.
func pollFor(d time.Duration, ok func() bool) bool {
	end := time.Now().Add(d)
	for pause := 2 * time.Millisecond; ; pause = min(pause*5/4, 50*time.Millisecond) {
		if ok() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
		time.Sleep(pause)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !poll(ok) {
		t.Fatalf("not in %v: %s", testTimeout, what)
	}
}

// atAnySpeed fails the test unless attempt returns true for some span, in which a slow machine has to do
// something. It begins with span, and doubles it: a fault fails with every span, a slow machine with short
// ones only.
func atAnySpeed(t testing.TB, span time.Duration, attempt func(span time.Duration) bool) {
	t.Helper()
	for ; span <= testTimeout/2; span *= 2 {
		if attempt(span) {
			return
		}
		t.Logf("failed with %v", span)
	}
	t.Error("failed with every span")
}
