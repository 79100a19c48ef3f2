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

const asks = "echo ready; read line; exit 3" // a command that ends when told to

func missing(t *testing.T, file string) {
	t.Helper()
	if _, err := os.Lstat(file); !os.IsNotExist(err) {
		t.Errorf("%s is there (%v)", file, err)
	}
}

func TestDrainWaitsForSessions(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	server, _ := p.serve(t, "--drain=1h")
	x := p.runnel(t, "run", "-c", asks)
	x.expect("ready")
	server.signal(syscall.SIGTERM)
	server.logs("shutting down")
	late := p.runnel(t, "run", "true")
	late.exits(125)
	late.says("503")
	_, _ = x.in.Write([]byte("\n"))
	x.exits(3)
	server.exits(0)
	missing(t, p.path("ready"))
	missing(t, p.socket())
}

func TestDrainEndsSessions(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	server, _ := p.serve(t, "--drain=10ms")
	x := p.runnel(t, "run", "-c", "echo $$; exec sleep 1000")
	pid := x.line()
	server.signal(syscall.SIGINT)
	x.exits(125)
	x.says("shutdown")
	server.exits(0)
	gone(t, pid)
}

// Signals that go on to come do not interrupt what the server does last, and do not change its exit status.
func TestSignalsUpToTheEnd(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	server, ready := p.serve(t)
	for range 30000 { // it needs some milliseconds
		if syscall.Kill(ready.PID, syscall.SIGTERM) != nil {
			break
		}
		time.Sleep(100 * time.Microsecond)
	}
	server.exits(0)
	missing(t, p.path("ready"))
	missing(t, p.socket())
}

// A second signal ends at once what the drain, or a command's grace, would hold up for an hour.
func TestSecondSignal(t *testing.T) {
	for name, drain := range map[string]string{"in the drain": "1h", "in the grace": "0s"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			server, _ := p.serve(t, "--drain="+drain, "--grace=1h")
			x := p.runnel(t, "run", "-c", "trap 'echo term' TERM; echo $$"+loop)
			pid := x.line()
			x.expect("ready")
			server.signal(syscall.SIGTERM)
			server.logs("shutting down")
			if drain == "0s" {
				x.expect("term")
			}
			server.signal(syscall.SIGTERM)
			server.exits(0)
			x.exits(125)
			gone(t, pid)
			missing(t, p.path("ready"))
			missing(t, p.socket())
		})
	}
}

func TestServerDies(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	server, _ := p.serve(t)
	x := p.runnel(t, "run", "-c", asks)
	x.expect("ready")
	server.signal(syscall.SIGKILL)
	x.exits(125)
	x.says("lost the server")

	if _, err := os.Lstat(p.socket()); err != nil {
		t.Fatal("the dead server left no socket", err)
	}
	alone := p.runnel(t, "run", "echo", "alone")
	alone.expect("alone")
	alone.exits(0)
	again, _ := p.serve(t) // replaces the ready file and the socket
	x = p.runnel(t, "ps")
	x.exits(0)
	again.signal(syscall.SIGTERM)
	again.exits(0)
}

// Of servers that start together, over a dead one's socket, one gets it; the others say so. All have one token.
func TestServersStartTogether(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
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
		poll(func() bool { return x.errors() != "" })
	}
	listening := 0
	for i, x := range all {
		if strings.Contains(x.errors(), "another server is listening") {
			x.exits(1)
			missing(t, p.path(fmt.Sprintf("ready%d", i)))
			continue
		}
		listening++
		x.logs("listening")
		x.signal(syscall.SIGTERM)
		x.exits(0)
	}
	if listening != 1 {
		t.Errorf("%d servers got the socket", listening)
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
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

func TestReadyFileOfAnother(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	server, _ := p.serve(t)
	if err := os.WriteFile(p.path("ready"), []byte("another's"), 0o600); err != nil {
		t.Fatal(err)
	}
	server.signal(syscall.SIGTERM)
	server.exits(0)
	if _, err := os.Stat(p.path("ready")); err != nil {
		t.Error(err)
	}
}

// TestFailedStartLeavesTheReadyFile: a server whose port is in use leaves the running server's ready file as it is.
func TestFailedStartLeavesTheReadyFile(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, ready := p.serve(t)
	x := p.runnel(t, "serve", "--listen="+strings.TrimSuffix(strings.TrimPrefix(ready.URL, "ws://"), "/ws"), "--socket=", "--ready-file=ready")
	x.exits(1)
	x.says("in use")
	if now, err := readReady(p.path("ready")); err != nil || now != ready {
		t.Errorf("%+v, %v, was %+v", now, err, ready)
	}
}
