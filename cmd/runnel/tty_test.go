package main

import "testing"

// A command without a terminal does not get the one on which the server was started. Before, it waited for input there.
func TestNoControllingTerminal(t *testing.T) {
	p := newPlace(t)
	server := p.onTerminal(t, ordinary, "serve", "--listen=127.0.0.1:0", "--ready-file=ready", "--log-format=json")
	if !poll(func() bool { r, _ := readReady(p.path("ready")); return r.PID == server.Process.Pid }) {
		t.Fatal("not ready:", server.errors())
	}
	refuses(t, p.runnel(t, "run", "-n", "-c", "head -c1 </dev/tty"))
	server.types("\x03")
	server.exits(0)
	alone := newPlace(t) // no server runs here: it serves itself
	s := alone.onTerminal(t, ordinary, "run", "-n", "-c", "head -c1 </dev/tty")
	refuses(t, s.program)
}

func refuses(t *testing.T, x *program) {
	t.Helper()
	x.exits(2)                          // the shell's own, for a file that it cannot open
	x.logs("No such device or address") // ENXIO
}
