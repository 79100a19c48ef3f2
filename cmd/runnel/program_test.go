package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testTimeout bounds each wait of a test for a condition.
const testTimeout = 30 * time.Second

// testDir is the working directory, the home and the runtime directory of the programs of a test.
type testDir struct{ dir string }

func newTestDir(t *testing.T) *testDir {
	dir, err := os.MkdirTemp("", "rn") // a short path: that of a socket has at most 107 bytes (unix(7))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &testDir{dir}
}

func (p *testDir) path(name string) string { return filepath.Join(p.dir, name) }

func (p *testDir) socket() string { return p.path("runnel/sock") }

func (p *testDir) env() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "XDG_RUNTIME_DIR=" + p.dir, "LC_ALL=C", "GORACE=" + raceOptions, environMark}
}

// program is a running program.
type program struct {
	*exec.Cmd
	t      *testing.T
	in     io.WriteCloser
	out    *bufio.Reader
	stderr string // the name of a file
	done   chan struct{}
}

// prepare returns a program that is not started yet, with stderr to a file.
func (p *testDir) prepare(t *testing.T, name string, args ...string) *program {
	t.Helper()
	x := &program{Cmd: exec.Command(name, args...), t: t, done: make(chan struct{})}
	x.Dir, x.Env = p.dir, p.env()
	log, err := os.CreateTemp(p.dir, "stderr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	x.Stderr, x.stderr = log, log.Name()
	return x
}

// start starts a program with pipes as stdin and stdout. It is killed at the end of the test.
func (p *testDir) start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	x := p.prepare(t, name, args...)
	in, stdin, err1 := os.Pipe()
	stdout, out, err2 := os.Pipe()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = stdin.Close(), stdout.Close() })
	x.Stdin, x.Stdout, x.in, x.out = in, out, stdin, bufio.NewReader(stdout)
	x.startPrepared()
	_, _ = in.Close(), out.Close()
	return x
}

// startPrepared starts a prepared program. It is killed at the end of the test.
func (x *program) startPrepared() {
	x.t.Helper()
	if err := x.Cmd.Start(); err != nil {
		x.t.Fatal(err)
	}
	go func() {
		_ = x.Cmd.Wait()
		close(x.done)
	}()
	x.t.Cleanup(func() {
		_ = x.Process.Kill()
		<-x.done
	})
}

func (p *testDir) runnel(t *testing.T, args ...string) *program {
	t.Helper()
	return p.start(t, "runnel", args...)
}

// serve starts a server and waits until it is ready. At the end of the test it is terminated, with
// its sessions.
func (p *testDir) serve(t *testing.T, args ...string) (*program, readyFile) {
	t.Helper()
	x := p.runnel(t, append([]string{"serve", "--listen=127.0.0.1:0", "--ready-file=ready"}, args...)...)
	t.Cleanup(func() { x.signalUntilExit(syscall.SIGTERM) })
	return x, x.awaitReady()
}

func readReady(file string) (r readyFile, err error) {
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	return r, err
}

// readLine reads a line of the program's stdout.
func (x *program) readLine() string {
	x.t.Helper()
	text, err := x.out.ReadString('\n')
	if err != nil {
		x.t.Fatalf("stdout: %v after %q; stderr: %s", err, text, x.stderrText())
	}
	return strings.TrimSuffix(text, "\n")
}

func (x *program) expectLine(line string) {
	x.t.Helper()
	if got := x.readLine(); got != line {
		x.t.Fatalf("stdout is %q, want %q", got, line)
	}
}

func (x *program) signal(s syscall.Signal) {
	x.t.Helper()
	if err := x.Process.Signal(s); err != nil {
		x.t.Fatal(err)
	}
}

// signalUntilExit sends a signal repeatedly until the program has exited.
func (x *program) signalUntilExit(s syscall.Signal) {
	x.t.Helper()
	if !poll(func() bool {
		_ = x.Process.Signal(s)
		select {
		case <-x.done:
			return true
		default:
			return false
		}
	}) {
		x.t.Fatalf("the program has not exited after %s", s)
	}
}

// stderrText returns what the program has written to stderr.
func (x *program) stderrText() string {
	text, _ := os.ReadFile(x.stderr)
	return string(text)
}

// awaitStderr waits until stderr contains text.
func (x *program) awaitStderr(text string) {
	x.t.Helper()
	if !poll(func() bool { return strings.Contains(x.stderrText(), text) }) {
		x.t.Fatalf("stderr does not contain %q: %s", text, x.stderrText())
	}
}

// expectExit waits for the program to exit and checks its status, which is -1 after a signal.
func (x *program) expectExit(status int) {
	x.t.Helper()
	select {
	case <-x.done:
	case <-time.After(testTimeout):
		_ = x.Process.Signal(syscall.SIGQUIT) // makes the Go runtime print all goroutines
		x.t.Fatalf("no exit within %v", testTimeout)
	}
	if got := x.ProcessState.ExitCode(); got != status {
		x.t.Errorf("exit status %d, want %d; stderr: %s", got, status, x.stderrText())
	}
}

// expectError checks that stderr is one line that begins with "runnel: " and contains text.
func (x *program) expectError(text string) {
	x.t.Helper()
	got := x.stderrText()
	if !strings.HasPrefix(got, "runnel: ") || strings.Count(got, "\n") != 1 || !strings.Contains(got, text) {
		x.t.Errorf("stderr is %q, want one line of runnel that contains %q", got, text)
	}
}

// readUntil reads the program's stdout up to text, and returns what is before it.
func (x *program) readUntil(text string) string {
	x.t.Helper()
	var got []byte
	for !strings.HasSuffix(string(got), text) {
		b, err := x.out.ReadByte()
		if err != nil {
			x.t.Fatalf("stdout: %v after %q; stderr: %s", err, got, x.stderrText())
		}
		got = append(got, b)
	}
	return strings.TrimSuffix(string(got), text)
}

// readAll reads the program's stdout to its end.
func (x *program) readAll() string {
	x.t.Helper()
	text, err := io.ReadAll(x.out)
	if err != nil {
		x.t.Fatal(err)
	}
	return string(text)
}

// writeStdin writes to the program's stdin.
func (x *program) writeStdin(text string) {
	x.t.Helper()
	if _, err := io.WriteString(x.in, text); err != nil {
		x.t.Fatal(err)
	}
}

// poll waits until ok returns true. It returns false after testTimeout. The pauses between two checks get longer,
// since many of them start a program, for which the program that is waited for needs the processor.
func poll(ok func() bool) bool {
	end := time.Now().Add(testTimeout)
	for pause := 2 * time.Millisecond; time.Now().Before(end); pause = min(pause*5/4, 100*time.Millisecond) {
		if ok() {
			return true
		}
		time.Sleep(pause)
	}
	return false
}

// awaitExit waits until the process does not exist or is a zombie.
func awaitExit(t *testing.T, pid string) {
	t.Helper()
	dead := func() bool {
		line, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			return errors.Is(err, os.ErrNotExist)
		}
		return strings.Contains(string(line), ") Z ")
	}
	if !poll(dead) {
		t.Errorf("process %s has not exited", pid)
	}
}

// countLines returns the number of lines of a file, which is 0 if it does not exist.
func countLines(file string) int {
	text, _ := os.ReadFile(file)
	return strings.Count(string(text), "\n")
}

func awaitLines(t *testing.T, file string, n int) {
	t.Helper()
	if !poll(func() bool { return countLines(file) >= n }) {
		t.Fatalf("%s has %d lines, want %d", file, countLines(file), n)
	}
}
