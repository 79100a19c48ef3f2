package main

import (
	"bytes"
	stdflag "flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/runnel-rpc/runnel/process"
)

// TestMain makes the test binary also the program: `runnel` in PATH is this binary, with the race
// detector if it is enabled. A server starts it as its exec step and as its keeper, too, which must
// not run the tests.
func TestMain(m *testing.M) {
	process.Step()
	_ = stdflag.Set("test.parallel", "6") // those that run in parallel mostly wait
	environMark = fmt.Sprintf("STARTED_BY_TEST=%d", os.Getpid())
	testscript.Main(leakCheck{m}, programs)
}

// programs are what the test binary is, by its name.
var programs = map[string]func(){
	"runnel": main, "runnel-short-linger": mainWithShortLinger, "runnel-short-dial": mainWithShortDial,
	"runnel-with-figures": mainWithFigures, "runnel-storm": stormMain, "runnel-mcp-host": mcpHostMain,
}

// rounds returns how often a test repeats something: full with RUNNEL_TEST_FULL=1, which .ci/run
// sets, else few.
func rounds(few, full int) int {
	if os.Getenv("RUNNEL_TEST_FULL") != "" {
		return full
	}
	return few
}

// environMark is in the environment of all processes that tests start.
var environMark string

// raceOptions is GORACE of the programs that tests start. What the race detector reports is in files, since
// their stderr may be a terminal, or what a test expects to be empty.
var raceOptions string

// leakCheck fails the tests if a process that they started is left, or had a data race.
type leakCheck struct{ *testing.M }

func (c leakCheck) Run() int {
	// If go test ignores a signal, as in the background of a script, runnel would inherit that and
	// not forward it.
	resetIgnored()
	dir, err := os.MkdirTemp("", "races")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	raceOptions = "atexit_sleep_ms=0 log_path=" + filepath.Join(dir, "race")
	code := c.M.Run()
	if left := markedProcesses(); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "processes left: %q\n", left)
		code = 1
	}
	reports, _ := filepath.Glob(filepath.Join(dir, "race.*"))
	for _, file := range reports {
		text, _ := os.ReadFile(file)
		fmt.Fprintf(os.Stderr, "%s\n", text)
		code = 1
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
