package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the scripts of testdata/script. In addition to the commands of testscript they
// use:
//
//	exits N PROGRAM ARGS…   run a program; its exit status must be N
//	fails N PROGRAM ARGS…   the same, and stderr must be one line that begins with "runnel: "
//	ready FILE              wait for the ready file of a server, and set URL and TOKEN_FILE
//	mode N FILE             the permissions of the file must be N (octal)
//	sessions STATE          wait until `runnel ps` lists a session in that state
//
// The condition [sandbox] is true if the machine can enforce the built-in profiles of sandboxes,
// [landlock] if it can enforce some without namespaces, [userns] if unshare(1) makes user namespaces,
// and [root] for root.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setUpScript,
		Condition: func(name string) (bool, error) {
			switch name {
			case "sandbox":
				return canSandbox()
			case "landlock":
				return hasLandlock()
			case "userns":
				return exec.Command("unshare", "-Ur", "true").Run() == nil, nil
			case "root":
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: scriptCommands,
	})
}

var scriptCommands = map[string]func(*testscript.TestScript, bool, []string){
	"exits":    exits,
	"fails":    fails,
	"ready":    awaitReadyFile,
	"mode":     checkMode,
	"sessions": awaitSession,
}

// canSandbox reports whether the machine can enforce the built-in profiles. It fails if it cannot, and
// RUNNEL_TEST_REQUIRE says that it has bubblewrap.
var canSandbox = sync.OnceValues(func() (bool, error) {
	text, err := exec.Command("runnel", "sandbox", "check").CombinedOutput()
	if err != nil && slices.Contains(strings.Split(os.Getenv("RUNNEL_TEST_REQUIRE"), ","), "bubblewrap") {
		return false, fmt.Errorf("%w: %s", err, text)
	}
	return err == nil, nil
})

// hasLandlock reports whether the machine can enforce some sandboxes without namespaces. It fails if it
// cannot, and RUNNEL_TEST_REQUIRE says that it has Landlock.
var hasLandlock = sync.OnceValues(func() (bool, error) {
	check := exec.Command("runnel", "sandbox", "check", "--json")
	check.Env = append(os.Environ(), "PATH=") // without bwrap
	text, _ := check.CombinedOutput()
	has := bytes.Contains(text, []byte(`"by": "landlock"`))
	if !has && slices.Contains(strings.Split(os.Getenv("RUNNEL_TEST_REQUIRE"), ","), "landlock") {
		return false, fmt.Errorf("%s", text)
	}
	return has, nil
})

// setUpScript sets the environment of a script, and writes a file of 300,000 bytes.
func setUpScript(e *testscript.Env) error {
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
	name, value, _ := strings.Cut(environMark, "=")
	e.Setenv(name, value)
	e.Setenv("GORACE", raceOptions)
	e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
	e.Setenv("XDG_RUNTIME_DIR", run)
	return err
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

func fails(ts *testscript.TestScript, neg bool, args []string) {
	exits(ts, neg, args)
	text := ts.ReadFile("stderr")
	if len(text) < 10 || !strings.HasPrefix(text, "runnel: ") || strings.Count(text, "\n") != 1 {
		ts.Fatalf("stderr is not one line of runnel: %q", text)
	}
}

func awaitReadyFile(ts *testscript.TestScript, _ bool, args []string) {
	var r readyFile
	var err error
	if !poll(func() bool {
		r, err = readReady(ts.MkAbs(args[0]))
		return err == nil && r.PID != 0
	}) {
		ts.Fatalf("%s is not written: %v", args[0], err)
	}
	ts.Setenv("URL", r.URL)
	ts.Setenv("TOKEN_FILE", r.TokenFile)
}

func awaitSession(ts *testscript.TestScript, _ bool, args []string) {
	if !poll(func() bool {
		ts.Check(ts.Exec("runnel", "ps"))
		return strings.Contains(ts.ReadFile("stdout"), args[0])
	}) {
		ts.Fatalf("no session is %s", args[0])
	}
}

func checkMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}
