package main

import "testing"

// TestNoControllingTerminal: a command without --pty has no controlling terminal, in particular not
// that of the server.
func TestNoControllingTerminal(t *testing.T) {
	p := newTestDir(t)
	server := p.onTerminal(t, defaultSize, "serve", "--listen=127.0.0.1:0", "--ready-file=ready", "--log-format=json")
	if !poll(func() bool { r, _ := readReady(p.path("ready")); return r.PID == server.Process.Pid }) {
		t.Fatal("not ready:", server.stderrText())
	}
	expectNoTerminal(t, p.runnel(t, "run", "-n", "-c", "head -c1 </dev/tty"))
	server.writeStdin("\x03")
	server.expectExit(0)
	inProcess := newTestDir(t) // no server is running
	s := inProcess.onTerminal(t, defaultSize, "run", "-n", "-c", "head -c1 </dev/tty")
	expectNoTerminal(t, s.program)
}

func expectNoTerminal(t *testing.T, x *program) {
	t.Helper()
	x.expectExit(2)                            // the status of a shell that cannot open a file
	x.awaitStderr("No such device or address") // ENXIO
}
