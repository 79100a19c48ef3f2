//go:build linux

package codex_test

import (
	"bufio"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// codexProgram is the path of the command line of Codex, with whose own server TestCodexServer runs.
var codexProgram = os.Getenv("RUNNEL_TEST_CODEX_SERVER")

// protocolTests check what clients see. They run with a service, and with Codex's own server.
var protocolTests = map[string]func(*testing.T, *service){
	"EndOfACommand":             testEndOfACommand,
	"OutputIsAheadOfTheExit":    testOutputIsAheadOfTheExit,
	"BackgroundProcesses":       testBackgroundProcesses,
	"Terminate":                 testTerminate,
	"Interrupt":                 testInterrupt,
	"Terminal":                  testTerminal,
	"WriteIDs":                  testWriteIDs,
	"Environment":               testEnvironment,
	"OutputWithoutAConnection":  testOutputWithoutAConnection,
	"TwoClients":                testTwoClients,
	"Files":                     testFiles,
	"MessagesThatAreNotAllowed": testMessagesThatAreNotAllowed,
	"StartsThatAreRefused":      testStartsThatAreRefused,
}

func TestProtocol(t *testing.T) {
	t.Parallel()
	for name, test := range protocolTests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, serve(t))
		})
	}
}

// TestCodexServer runs the tests with Codex's own server, which has to differ as differences says.
func TestCodexServer(t *testing.T) {
	if codexProgram == "" {
		t.Skip("RUNNEL_TEST_CODEX_SERVER is not the path of the command line of Codex")
	}
	var ran atomic.Int32
	t.Run("tests", func(t *testing.T) {
		for name, test := range protocolTests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				ran.Add(1)
				test(t, serveCodex(t))
			})
		}
	})
	for what := range differences {
		if _, seen := differencesSeen.Load(what); !seen && int(ran.Load()) == len(protocolTests) {
			t.Errorf("no test has looked at: %s", what)
		}
	}
}

// sometimes stands for any answer, where that of Codex's server depends on which of its tasks is first.
const sometimes = "sometimes"

// differences are the answers of Codex's server that differ from those of Runnel, with the reason why those
// of Runnel are right.
var differences = map[string]struct{ codex, why string }{
	"output of a command comes after its exit": {
		sometimes, "a client that stops at the exit would lose the end of the output",
	},
	"notifications are in the order of their seq": {
		sometimes, "a client that takes the newest seq for its position would lose the event before it",
	},
	"all output is kept": {
		"false", "the command waits until the client is there again, so nothing is lost",
	},
	"background processes after the session of the client": {
		"2", "nobody can end them any more",
	},
	"processes under setsid after process/terminate": {
		"1", "the client has asked for the end of all that the command has started",
	},
	"exit code after process/terminate": {
		"137", "the command gets SIGTERM first, so that it can clean up",
	},
	"process/signal to an unknown process": {
		"done", "nothing was signaled",
	},
	"process/write to a command that has ended": {
		"", "the protocol has the status stdinClosed for this; Codex's server answers an internal error",
	},
	"PWD is in the environment": {
		"false", "programs look there for the name of their directory",
	},
	`{"method":"process/write"}`: {
		"the connection is closed", "a mistake in one message does not end the other requests",
	},
	`before initialize: {"method":"initialized"}`: {
		"the connection is closed", "the client is told what is wrong",
	},
	"process/start with an empty id": {
		"done", "an id that a client has forgotten would name a process",
	},
	"process/start with NUL in argv": {
		"error -32603", "the params are wrong, and not the server",
	},
	"process/start with a cwd with an encoded slash": {
		"done", "whether it separates directories depends on who reads the URI",
	},
	"process/start with another arg0": {
		"done", "Runnel cannot start a program under another name, and does not start it under its own instead",
	},
	"process/start with a name with =": {
		"done", "the command would get another variable than the one that is named",
	},
	"fs/readFile of file://host/etc": {
		"error -32600", "the same mistake in a cwd is -32602 there, too",
	},
	"fs/readFile of file:///a/../b": {
		"error -32004", "Codex's server reads /b, but what .. leads to depends on symbolic links",
	},
	"fs/readFile of file:///a%2fb": {
		"error -32004", "whether it separates directories depends on who reads the URI",
	},
	"fs/readBlock of a handle that is closed": {
		"error -32004", "-32004 says that a file does not exist",
	},
}

var differencesSeen sync.Map // of the names

// expect checks an answer: it has to be that of Runnel, or if Codex's server gives another one, what
// differences says.
func (s *service) expect(t *testing.T, what string, got, runnel any) {
	t.Helper()
	want, why := fmt.Sprint(runnel), ""
	if d, differs := differences[what]; differs && s.codex {
		differencesSeen.Store(what, true)
		want, why = d.codex, "; Runnel: "+d.why
	}
	if got := fmt.Sprint(got); got != want && want != sometimes {
		t.Errorf("%s: %s, want %s%s", what, got, want, why)
	}
}

// serveCodex starts Codex's own server, and ends it with the test.
func serveCodex(t *testing.T) *service {
	t.Helper()
	cmd := exec.Command(codexProgram, "exec-server", "--listen", "ws://127.0.0.1:0")
	cmd.Env = append(serverEnviron(), "CODEX_HOME="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with the script that npm installs
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal("the server has printed no URL: ", err)
	}
	u, err := url.Parse(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return &service{t: t, address: u.Host, path: "/", codex: true}
}
