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

// patience bounds every wait of a test for what is sure to come.
const testTimeout = 30 * time.Second

// place is where programs of one test run: a home and a runtime directory of their own.
type place struct{ dir string }

func newPlace(t *testing.T) *place {
	dir, err := os.MkdirTemp("", "rn") // short: a socket's path is bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &place{dir}
}

func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

func (p *place) socket() string { return p.path("runnel/sock") }

func (p *place) env() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "XDG_RUNTIME_DIR=" + p.dir, "LC_ALL=C", "GORACE=atexit_sleep_ms=0", mark}
}

// program is one that runs.
type program struct {
	*exec.Cmd
	t      *testing.T
	in     io.WriteCloser
	out    *bufio.Reader
	stderr string // a file
	done   chan struct{}
}

// prepare makes a program whose stderr goes to a file.
func (p *place) prepare(t *testing.T, name string, args ...string) *program {
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

// start starts a program on pipes, and ends it with the test.
func (p *place) start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	x := p.prepare(t, name, args...)
	in, stdin, err1 := os.Pipe()
	stdout, out, err2 := os.Pipe()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = stdin.Close(), stdout.Close() })
	x.Stdin, x.Stdout, x.in, x.out = in, out, stdin, bufio.NewReader(stdout)
	x.begin()
	_, _ = in.Close(), out.Close()
	return x
}

// begin starts what was prepared, and ends it with the test.
func (x *program) begin() {
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

func (p *place) runnel(t *testing.T, args ...string) *program {
	t.Helper()
	return p.start(t, "runnel", args...)
}

// serve starts a server and waits until it is ready. It takes its sessions with it at the end of the test.
func (p *place) serve(t *testing.T, args ...string) (*program, readyFile) {
	t.Helper()
	x := p.runnel(t, append([]string{"serve", "--listen=127.0.0.1:0", "--ready-file=ready"}, args...)...)
	t.Cleanup(func() { x.endBy(syscall.SIGTERM) })
	var r readyFile
	if !poll(func() bool { // a killed server's may be there still
		r, _ = readReady(p.path("ready"))
		return r.PID == x.Process.Pid
	}) {
		t.Fatal("not ready:", x.errors())
	}
	return x, r
}

func readReady(file string) (r readyFile, err error) {
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	return r, err
}

// line reads a line of the program's stdout.
func (x *program) line() string {
	x.t.Helper()
	text, err := x.out.ReadString('\n')
	if err != nil {
		x.t.Fatalf("stdout: %v after %q; stderr: %s", err, text, x.errors())
	}
	return strings.TrimSuffix(text, "\n")
}

func (x *program) expect(line string) {
	x.t.Helper()
	if got := x.line(); got != line {
		x.t.Fatalf("stdout is %q, want %q", got, line)
	}
}

func (x *program) signal(s syscall.Signal) {
	x.t.Helper()
	if err := x.Process.Signal(s); err != nil {
		x.t.Fatal(err)
	}
}

// endBy sends a signal again and again until the program ends.
func (x *program) endBy(s syscall.Signal) {
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
		x.t.Fatalf("%s does not end it", s)
	}
}

// errors is what the program has written to stderr.
func (x *program) errors() string {
	text, _ := os.ReadFile(x.stderr)
	return string(text)
}

// logs waits until stderr holds text.
func (x *program) logs(text string) {
	x.t.Helper()
	if !poll(func() bool { return strings.Contains(x.errors(), text) }) {
		x.t.Fatalf("stderr does not say %q: %s", text, x.errors())
	}
}

// exits waits for the program's end and checks its status.
func (x *program) exits(status int) {
	x.t.Helper()
	select {
	case <-x.done:
	case <-time.After(testTimeout):
		_ = x.Process.Signal(syscall.SIGQUIT) // what hangs, says the Go runtime
		x.t.Fatal("does not end")
	}
	if got := x.ProcessState.ExitCode(); got != status {
		x.t.Errorf("exit status %d, want %d; stderr: %s", got, status, x.errors())
	}
}

// says checks that stderr is one line, of runnel's, that holds text.
func (x *program) says(text string) {
	x.t.Helper()
	said := x.errors()
	if !strings.HasPrefix(said, "runnel: ") || strings.Count(said, "\n") != 1 || !strings.Contains(said, text) {
		x.t.Errorf("stderr is %q, want a line with %q", said, text)
	}
}

// until reads the program's stdout up to text, and returns what came before it.
func (x *program) until(text string) string {
	x.t.Helper()
	var got []byte
	for !strings.HasSuffix(string(got), text) {
		b, err := x.out.ReadByte()
		if err != nil {
			x.t.Fatalf("stdout: %v after %q; stderr: %s", err, got, x.errors())
		}
		got = append(got, b)
	}
	return strings.TrimSuffix(string(got), text)
}

// rest reads the program's stdout to its end.
func (x *program) rest() string {
	x.t.Helper()
	text, err := io.ReadAll(x.out)
	if err != nil {
		x.t.Fatal(err)
	}
	return string(text)
}

// types writes to the program's stdin.
func (x *program) types(text string) {
	x.t.Helper()
	if _, err := io.WriteString(x.in, text); err != nil {
		x.t.Fatal(err)
	}
}

// poll waits for ok for as long as patience has it.
func poll(ok func() bool) bool {
	for end := time.Now().Add(testTimeout); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return false
}

// gone waits until no process of that id lives.
func gone(t *testing.T, pid string) {
	t.Helper()
	dead := func() bool {
		line, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			return errors.Is(err, os.ErrNotExist)
		}
		return strings.Contains(string(line), ") Z ")
	}
	if !poll(dead) {
		t.Errorf("process %s lives", pid)
	}
}

func fileLines(file string) int {
	text, _ := os.ReadFile(file)
	return strings.Count(string(text), "\n")
}

func awaitLines(t *testing.T, file string, n int) {
	t.Helper()
	if !poll(func() bool { return fileLines(file) >= n }) {
		t.Fatalf("%s has %d lines, want %d", file, fileLines(file), n)
	}
}
