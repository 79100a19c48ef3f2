//go:build linux

package codex_test

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
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process"
)

// testTimeout bounds every wait of these tests.
const testTimeout = 60 * time.Second

// TestMain fails if the tests leave a goroutine, a descriptor or a child behind.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "4")
	process.Step()
	warm := make(chan os.Signal, 1)
	signal.Notify(warm, syscall.SIGCHLD) // starts a goroutine that never ends, once
	signal.Stop(warm)
	if p, err := (*process.Host)(nil).Start(process.Spec{Argv: []string{"/bin/true"}}); err == nil {
		p.Discard() // a nil Host has a poller that never ends
	}
	before := usedResources()
	var err error
	if host, err = process.Open(process.Options{Containment: "marker"}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := host.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if codexProgram != "" { // processes that Codex's server has left behind are children of this one
		os.Exit(code)
	}
	var after resources
	if !poll(func() bool { after = usedResources(); return after.within(before) }) {
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		fmt.Fprintf(os.Stderr, "LEFT BEHIND\nbefore: %+v\nafter:  %+v\n", before, after)
		code = max(code, 1)
	}
	os.Exit(code)
}

// host starts the sessions of all tests. Its containment finds processes that have called setsid.
var host *process.Host

// resources are the resources of a process that have to be released.
type resources struct {
	goroutines, descriptors int
	children                []string // zombies too
}

func usedResources() resources {
	r := resources{goroutines: runtime.NumGoroutine()}
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && !strings.HasPrefix(target, "anon_inode:[event") && !strings.HasPrefix(target, "/usr/") &&
			!strings.HasSuffix(target, "/children") {
			r.descriptors++
		}
	}
	for _, pid := range processes() {
		if fields := stat(pid); len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			r.children = append(r.children, strconv.Itoa(pid)+":"+fields[0])
		}
	}
	return r
}

func (r resources) within(before resources) bool {
	return r.goroutines <= before.goroutines && r.descriptors <= before.descriptors && len(r.children) <= len(before.children)
}

func processes() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stat returns the fields of /proc/PID/stat after the name: state, parent, ….
func stat(pid int) []string {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(line[strings.LastIndexByte(string(line), ')')+1:]))
}

// withMark returns the living processes that have a mark in their environment.
func withMark(mark string) (pids []int) {
	for _, pid := range processes() {
		env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if fields := stat(pid); strings.Contains(string(env), mark) && len(fields) > 0 && fields[0] != "Z" && fields[0] != "X" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// marked counts the living processes that have a mark in their environment.
func marked(mark string) int { return len(withMark(mark)) }

// killMarked kills the processes that have a mark in their environment.
func killMarked(mark string) {
	for _, pid := range withMark(mark) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// rounds returns how often a test repeats something: full with RUNNEL_TEST_FULL=1, which .ci/run sets, else few.
func rounds(few, full int) int {
	if os.Getenv("RUNNEL_TEST_FULL") != "" {
		return full
	}
	return few
}

// poll waits for ok, at most for testTimeout.
func poll(ok func() bool) bool {
	for end := time.Now().Add(testTimeout); ; time.Sleep(5 * time.Millisecond) {
		if ok() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !poll(ok) {
		t.Fatalf("not in %v: %s", testTimeout, what)
	}
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// mark returns a value for MARK that no other process has.
func mark(t *testing.T) string { return fmt.Sprint(t.Name(), os.Getpid(), time.Now().UnixNano()) }
