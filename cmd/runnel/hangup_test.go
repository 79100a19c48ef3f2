package main

import (
	"syscall"
	"testing"

	"github.com/creack/pty"
)

// TestHangupEndsAServerOnATerminal: SIGHUP means the end of the controlling terminal, if the server
// has one.
func TestHangupEndsAServerOnATerminal(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	master, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer terminal.Close()
	server := p.prepare(t, "runnel", "serve", "--listen=127.0.0.1:0", "--ready-file=ready")
	server.Stdin = terminal
	server.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	server.startPrepared()
	server.awaitReady()
	server.signal(syscall.SIGHUP)
	server.expectExit(0)
	expectMissing(t, p.path("ready"))
}
