//go:build linux

package process

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/proctest"
	"golang.org/x/sys/unix"
)

// patience bounds every wait of these tests; none needs more than a fraction of it.
const patience = proctest.Patience

// The tests are for Linux only, since they read /proc.

// TestMain fails if the tests leave a descriptor, a goroutine or a child behind.
func TestMain(m *testing.M) {
	Step()
	_ = flag.Set("test.parallel", "8") // those that run in parallel mostly wait
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGHUP} {
		if signal.Ignored(sig) { // as in the background of a script: commands would inherit that
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) // descriptors that this process has inherited
	if dir := os.Getenv("RUNNEL_TEST_CRASH"); dir != "" {
		runServer(dir)
	}
	if os.Getenv(peerSocket) != "" {
		runPeer()
	}
	leader.System() // opens and closes a descriptor, once
	if _, err := run("true"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	warm := make(chan os.Signal, 1)
	signal.Notify(warm, syscall.SIGCHLD) // starts a goroutine that never ends, once
	signal.Stop(warm)
	fds, goroutines := descriptors(), runtime.NumGoroutine()
	code := m.Run()
	_ = (*Host)(nil).Close() // it keeps the program of sandboxes open
	left := func() string {
		return fmt.Sprintf("descriptors %d → %v, goroutines %d → %d, children %v",
			len(fds), descriptors(), goroutines, runtime.NumGoroutine(), children())
	}
	clean := poll(func() bool {
		return len(descriptors()) <= len(fds) && runtime.NumGoroutine() <= goroutines && len(children()) == 0
	})
	fuzzes := flag.Lookup("test.fuzz").Value.String() != "" // which keeps goroutines of its own
	if code == 0 && !clean && !fuzzes {
		fmt.Fprintln(os.Stderr, "left behind:", left())
		code = 1
	}
	os.Exit(code)
}

// Shared with the tests of other packages.
var (
	poll     = proctest.Poll
	state    = proctest.State
	alive    = proctest.Alive
	children = proctest.Children

	descriptors = proctest.Descriptors
)

var testEnv = []string{"PATH=/usr/local/bin:/usr/bin:/bin"}

// runParallel makes a test that mostly waits run in parallel with others, after all that do not. It
// must not open a Host with marks: while that forks, this process has the mark of a tree, which the
// processes that another test starts would inherit. Subtests of a test that does not call this may
// run in parallel on hosts that were opened before: their forks exclude each other.
func runParallel(t *testing.T) { t.Parallel() }

// rounds returns how often a test repeats something: full with RUNNEL_TEST_FULL=1, which .ci/run
// sets, else few.
func rounds(few, full int) int {
	if os.Getenv("RUNNEL_TEST_FULL") != "" {
		return full
	}
	return few
}

func sh(script string) Spec { return Spec{Argv: []string{"/bin/sh", "-c", script}, Env: testEnv} }

// kernels returns the system calls that signal groups by number and, if available, by pidfd.
func kernels() map[string]leader.Kernel {
	byNumber := leader.System()
	byNumber.SignalGroup = nil
	list := map[string]leader.Kernel{"number": byNumber}
	if leader.System().SignalGroup != nil {
		list["pidfd"] = leader.System()
	}
	return list
}

func eachKernel(t *testing.T, f func(t *testing.T, sys leader.Kernel)) {
	for name, sys := range kernels() {
		t.Run(name, func(t *testing.T) { f(t, sys) })
	}
}

// mustStart starts spec under Group, and ends the tree when the test is over.
func mustStart(t testing.TB, spec Spec, sys leader.Kernel) *Process {
	t.Helper()
	p, err := newHost(sys).Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { finish(p) })
	return p
}

// finish kills the tree of p and closes it. p may be closed already.
func finish(p *Process) Exit {
	_ = p.Kill()
	_ = p.WaitExit()
	p.Sweep(context.Background(), 0)
	exit, _ := p.Reap()
	p.Close()
	return exit
}

// readReady is ReadNow, but blocks while there is nothing to read.
func readReady(r *Pipe, lend func() []byte) (n int, err error) {
	for {
		if n, err = r.ReadNow(lend); err != ErrWouldBlock {
			return n, err
		}
		ready := make(resumed)
		r.Park(ready)
		<-ready
	}
}

// resumed is closed when a pipe is to be read again.
type resumed chan struct{}

func (c resumed) Resume() { close(c) }

// readAll reads r to its end.
func readAll(r *Pipe) (string, error) {
	var out strings.Builder
	buf := make([]byte, 64<<10)
	for {
		n, err := readReady(r, func() []byte { return buf })
		out.Write(buf[:n])
		if err == io.EOF {
			return out.String(), nil
		}
		if err != nil {
			return out.String(), err
		}
	}
}

// readLine reads from r up to the first newline.
func readLine(t testing.TB, r *Pipe) string {
	t.Helper()
	var line string
	buf := make([]byte, 1)
	_ = r.SetReadDeadline(time.Now().Add(patience))
	defer r.SetReadDeadline(time.Time{})
	for {
		if _, err := readReady(r, func() []byte { return buf }); err != nil {
			t.Fatalf("after %q: %v", line, err)
		}
		if buf[0] == '\n' {
			return line
		}
		line += string(buf)
	}
}

func readPID(t testing.TB, r *Pipe) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(readLine(t, r)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// run runs a command and returns its standard output.
func run(argv ...string) (string, error) {
	out, exit, err := runSpec(Spec{Argv: argv, Env: testEnv})
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("%v: %+v", argv, exit)
	}
	return out, err
}

// runSpec runs spec without a Host to its end, and returns its output and exit.
func runSpec(spec Spec) (string, Exit, error) {
	p, err := (*Host)(nil).Start(spec)
	if err != nil {
		return "", Exit{}, err
	}
	defer p.Close()
	out, err1 := readAll(p.Stdout())
	var err2 error
	if p.Stderr() != nil {
		_, err2 = readAll(p.Stderr())
	}
	err3 := p.WaitExit()
	p.Sweep(context.Background(), 0)
	exit, err4 := p.Reap()
	return out, exit, errors.Join(err1, err2, err3, err4)
}
