package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// readsLine is a command that exits when it has read a line.
const readsLine = "echo ready; read line; exit 3"

func expectMissing(t *testing.T, file string) {
	t.Helper()
	if _, err := os.Lstat(file); !os.IsNotExist(err) {
		t.Errorf("%s exists (%v)", file, err)
	}
}

func TestDrainWaitsForSessions(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, _ := p.serve(t, "--drain=1h")
	x := p.runnel(t, "run", "-c", readsLine)
	x.expectLine("ready")
	server.signal(syscall.SIGTERM)
	server.awaitStderr("shutting down")
	late := p.runnel(t, "run", "true")
	late.expectExit(125)
	late.expectError("503")
	_, _ = x.in.Write([]byte("\n"))
	x.expectExit(3)
	server.expectExit(0)
	expectMissing(t, p.path("ready"))
	expectMissing(t, p.socket())
}

func TestDrainEndsSessions(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, _ := p.serve(t, "--drain=10ms")
	x := p.runnel(t, "run", "-c", "echo $$; exec sleep 1000")
	pid := x.readLine()
	server.signal(syscall.SIGINT)
	x.expectExit(125)
	x.expectError("shutdown")
	server.expectExit(0)
	awaitExit(t, pid)
}

// TestSignalsUntilTheExit: signals that arrive until the server has exited do not interrupt its
// shutdown, and do not change its exit status.
func TestSignalsUntilTheExit(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, ready := p.serve(t)
	for range 30000 { // the shutdown takes some milliseconds
		if syscall.Kill(ready.PID, syscall.SIGTERM) != nil {
			break
		}
		time.Sleep(100 * time.Microsecond) // until the next signal
	}
	server.expectExit(0)
	expectMissing(t, p.path("ready"))
	expectMissing(t, p.socket())
}

// TestSecondSignal: a second signal kills the sessions at once, during the drain and during the
// grace.
func TestSecondSignal(t *testing.T) {
	for name, drain := range map[string]string{"in the drain": "1h", "in the grace": "0s"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newTestDir(t)
			server, _ := p.serve(t, "--drain="+drain, "--grace=1h")
			x := p.runnel(t, "run", "-c", "trap 'echo term' TERM; echo $$"+signalLoop)
			pid := x.readLine()
			x.expectLine("ready")
			server.signal(syscall.SIGTERM)
			server.awaitStderr("shutting down")
			if drain == "0s" {
				x.expectLine("term")
			}
			server.signal(syscall.SIGTERM)
			server.expectExit(0)
			x.expectExit(125)
			awaitExit(t, pid)
			expectMissing(t, p.path("ready"))
			expectMissing(t, p.socket())
		})
	}
}

func TestKilledServer(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, _ := p.serve(t)
	x := p.runnel(t, "run", "-c", readsLine)
	x.expectLine("ready")
	server.signal(syscall.SIGKILL)
	x.expectExit(125)
	x.expectError("lost the server")

	if _, err := os.Lstat(p.socket()); err != nil {
		t.Fatal("the killed server left no socket:", err)
	}
	inProcess := p.runnel(t, "run", "echo", "in process")
	inProcess.expectLine("in process")
	inProcess.expectExit(0)
	again, _ := p.serve(t) // replaces the ready file and the socket
	x = p.runnel(t, "ps")
	x.expectExit(0)
	again.signal(syscall.SIGTERM)
	again.expectExit(0)
}

// TestServersStartTogether: if several servers start at the same time, and a killed one has left
// its socket, one of them listens, and the others exit with an error.
func TestServersStartTogether(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	if err := os.Mkdir(p.path("runnel"), 0o700); err != nil {
		t.Fatal(err)
	}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.socket(), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
	all := make([]*program, 12)
	for i := range all {
		all[i] = p.runnel(t, "serve", "--listen=127.0.0.1:0", fmt.Sprintf("--ready-file=ready%d", i))
	}
	for _, x := range all {
		poll(func() bool { return x.stderrText() != "" })
	}
	listening := 0
	for i, x := range all {
		if strings.Contains(x.stderrText(), "another server is listening") {
			x.expectExit(1)
			expectMissing(t, p.path(fmt.Sprintf("ready%d", i)))
			continue
		}
		listening++
		x.awaitStderr("listening")
		x.signal(syscall.SIGTERM)
		x.expectExit(0)
	}
	if listening != 1 {
		t.Errorf("%d servers listen on the socket, want 1", listening)
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, ready := p.serve(t)
	if ready.TokenFile != p.path("runnel/token") || ready.PID != server.Process.Pid || !strings.HasPrefix(ready.URL, "ws://127.0.0.1:") {
		t.Errorf("ready file: %+v", ready)
	}
	for name, mode := range map[string]os.FileMode{"runnel": 0o700, "runnel/sock": 0o600, "runnel/token": 0o600} {
		info, err := os.Stat(p.path(name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// TestReadyFileOfAnotherServer: a server does not remove a ready file that another server has
// replaced.
func TestReadyFileOfAnotherServer(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, _ := p.serve(t)
	if err := os.WriteFile(p.path("ready"), []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	server.signal(syscall.SIGTERM)
	server.expectExit(0)
	if _, err := os.Stat(p.path("ready")); err != nil {
		t.Error(err)
	}
}

// TestFailedStartLeavesTheReadyFile: a server that fails to start does not change the ready file of
// a running server.
func TestFailedStartLeavesTheReadyFile(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	_, ready := p.serve(t)
	x := p.runnel(t, "serve", "--listen="+strings.TrimSuffix(strings.TrimPrefix(ready.URL, "ws://"), "/ws"), "--socket=", "--ready-file=ready")
	x.expectExit(1)
	x.expectError("in use")
	if now, err := readReady(p.path("ready")); err != nil || now != ready {
		t.Errorf("ready file is %+v (%v), was %+v", now, err, ready)
	}
}
