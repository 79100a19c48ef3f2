package main

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// withAndWithoutServer runs a test with a running server, and with the server in the process of run.
func withAndWithoutServer(t *testing.T, f func(t *testing.T, p *testDir)) {
	t.Run("server", func(t *testing.T) {
		t.Parallel()
		p := newTestDir(t)
		p.serve(t)
		f(t, p)
	})
	t.Run("in process", func(t *testing.T) {
		t.Parallel()
		f(t, newTestDir(t))
	})
}

// signalLoop is the end of a shell script: it waits for signals, whose traps run at once.
const signalLoop = `; echo ready; while :; do sleep 1 & wait $!; done`

func TestSignalsReachTheCommand(t *testing.T) {
	withAndWithoutServer(t, func(t *testing.T, p *testDir) {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2} {
			name := strings.TrimPrefix(unix.SignalName(sig), "SIG")
			x := p.runnel(t, "run", "-c", "trap 'echo "+name+"; exit 42' "+name+signalLoop)
			x.expectLine("ready")
			x.signal(sig)
			x.expectLine(name)
			x.expectExit(42)
		}
	})
}

func TestInterruptEndsTheCommand(t *testing.T) {
	withAndWithoutServer(t, func(t *testing.T, p *testDir) {
		x := p.runnel(t, "run", "--", "sh", "-c", "echo ready; exec sleep 1000")
		x.expectLine("ready")
		x.signal(syscall.SIGINT)
		x.expectExit(130)
	})
}

func TestThirdInterruptCancels(t *testing.T) {
	withAndWithoutServer(t, func(t *testing.T, p *testDir) {
		x := p.runnel(t, "run", "-c", "trap 'echo int' INT; trap 'echo term; exit 9' TERM"+signalLoop)
		x.expectLine("ready")
		for range 2 {
			x.signal(syscall.SIGINT)
			x.expectLine("int")
		}
		x.signal(syscall.SIGINT)
		x.expectLine("term")
		x.expectExit(9)
	})
}

// TestInterruptsWithABlockedStdout: signals are forwarded while stdout blocks, and the fourth
// SIGINT ends run.
func TestInterruptsWithABlockedStdout(t *testing.T) {
	withAndWithoutServer(t, func(t *testing.T, p *testDir) {
		log := p.path("log")
		x := p.runnel(t, "run", "-c", "trap 'echo int >>"+log+"' INT; trap 'echo term >>"+log+"' TERM; echo $$; yes & "+signalLoop[1:])
		pid := x.readLine()
		x.awaitBlockedWrite()
		for n := range 3 {
			x.signal(syscall.SIGINT)
			awaitLines(t, log, n+1)
		}
		x.signal(syscall.SIGINT)
		x.expectExit(130)
		x.expectError("interrupted")
		awaitExit(t, pid)
	})
}

// awaitBlockedWrite waits until a thread of the program is blocked in a write to a pipe.
func (x *program) awaitBlockedWrite() {
	x.t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	if !poll(func() bool {
		threads, _ := filepath.Glob("/proc/" + x.pid() + "/task/*/wchan")
		return slices.ContainsFunc(threads, func(file string) bool {
			wchan, _ := os.ReadFile(file)
			return strings.Contains(string(wchan), "pipe_write")
		})
	}) {
		x.t.Fatal("no thread is blocked in a write to a pipe")
	}
}

// TestIgnoredSignalsStayIgnored: run does not catch a signal that it was started with ignored, as
// by nohup(1).
func TestIgnoredSignalsStayIgnored(t *testing.T) {
	withAndWithoutServer(t, func(t *testing.T, p *testDir) {
		x := p.start(t, "sh", "-c", `trap "" HUP; exec runnel run -- sh -c 'echo ready; read line; exit 5'`)
		x.expectLine("ready")
		x.signal(syscall.SIGHUP)
		_, _ = x.in.Write([]byte("go on\n"))
		x.expectExit(5)
	})
}
