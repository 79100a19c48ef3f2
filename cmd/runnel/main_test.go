package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/runnel-rpc/runnel/process"
)

// TestMain makes the test binary also the program: `runnel` in PATH is this binary, with the race
// detector if it is enabled. A server starts it as its exec step and as its keeper, too, which must
// not run the tests.
func TestMain(m *testing.M) {
	process.Step()
	environMark = fmt.Sprintf("STARTED_BY_TEST=%d", os.Getpid())
	testscript.Main(leakCheck{m}, map[string]func(){"runnel": main, "runnel-short-timeouts": mainWithShortTimeouts})
}

// environMark is in the environment of all processes that tests start.
var environMark string

// leakCheck fails the tests if a process that they started is left.
type leakCheck struct{ *testing.M }

func (c leakCheck) Run() int {
	// If go test ignores a signal, as in the background of a script, runnel would inherit that and
	// not forward it.
	resetIgnored()
	code := c.M.Run()
	if left := markedProcesses(); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "processes left: %q\n", left)
		return 1
	}
	return code
}

func markedProcesses() (left []string) {
	list, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range list {
		env, _ := os.ReadFile(file)
		if bytes.Contains(env, []byte(environMark)) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			left = append(left, string(bytes.ReplaceAll(line, []byte{0}, []byte(" "))))
		}
	}
	return append(left, keepersLeft()...)
}

// keepersLeft lists the keepers of servers that the tests started. Their environment is empty.
func keepersLeft() (left []string) {
	program, _ := exec.LookPath("runnel")
	list, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, file := range list {
		name, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if exe, _ := os.Readlink(file); exe == program && bytes.HasPrefix(name, []byte("runnel-keeper\x00")) {
			left = append(left, exe+" (keeper)")
		}
	}
	return left
}

// TestScripts runs the scripts of testdata/script. In addition to the commands of testscript they
// use:
//
//	exits N PROGRAM ARGS…   run a program; its exit status must be N
//	fails N PROGRAM ARGS…   the same, and stderr must be one line that begins with "runnel: "
//	ready FILE              wait for the ready file of a server, and set URL and TOKEN_FILE
//	mode N FILE             the permissions of the file must be N (octal)
//	sessions STATE          wait until `runnel ps` lists a session in that state
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			if err := os.WriteFile(filepath.Join(e.WorkDir, "big"), make([]byte, 300_000), 0o600); err != nil {
				return err
			}
			openrpc, err := filepath.Abs("../../docs/openrpc.json")
			if err != nil {
				return err
			}
			e.Setenv("OPENRPC", openrpc)
			run, err := os.MkdirTemp("", "rn") // a short path: that of a socket has at most 107 bytes (unix(7))
			e.Defer(func() { _ = os.RemoveAll(run) })
			name, value, _ := bytes.Cut([]byte(environMark), []byte("="))
			e.Setenv(string(name), string(value))
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("XDG_RUNTIME_DIR", run)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"fails": func(ts *testscript.TestScript, neg bool, args []string) {
				exits(ts, neg, args)
				text := ts.ReadFile("stderr")
				if len(text) < 10 || text[:8] != "runnel: " || bytes.Count([]byte(text), []byte("\n")) != 1 {
					ts.Fatalf("stderr is not one line of runnel: %q", text)
				}
			},
			"ready": func(ts *testscript.TestScript, _ bool, args []string) {
				var r readyFile
				var err error
				poll(func() bool {
					r, err = readReady(ts.MkAbs(args[0]))
					return err == nil && r.PID != 0
				})
				ts.Check(err)
				ts.Setenv("URL", r.URL)
				ts.Setenv("TOKEN_FILE", r.TokenFile)
			},
			"sessions": func(ts *testscript.TestScript, _ bool, args []string) {
				if !poll(func() bool {
					ts.Check(ts.Exec("runnel", "ps"))
					return strings.Contains(ts.ReadFile("stdout"), args[0])
				}) {
					ts.Fatalf("no session is %s", args[0])
				}
			},
			"mode": func(ts *testscript.TestScript, _ bool, args []string) {
				info, err := os.Stat(ts.MkAbs(args[1]))
				ts.Check(err)
				if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
					ts.Fatalf("%s has mode %s", args[1], got)
				}
			},
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if err != nil || neg {
		ts.Fatalf("usage: exits N PROGRAM ARGS…")
	}
	var exit *exec.ExitError
	got := 0
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d", got)
	}
}
