package main

import (
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// everywhere runs a test against a server and where there is none.
func everywhere(t *testing.T, f func(t *testing.T, p *place)) {
	t.Run("served", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		p.serve(t)
		f(t, p)
	})
	t.Run("alone", func(t *testing.T) {
		t.Parallel()
		f(t, newPlace(t))
	})
}

// loop is a shell that lives until it is told to end, and takes signals at once.
const loop = `; echo ready; while :; do sleep 1 & wait $!; done`

func TestSignalsReachTheCommand(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2} {
			name := strings.TrimPrefix(unix.SignalName(sig), "SIG")
			x := p.runnel(t, "run", "-c", "trap 'echo "+name+"; exit 42' "+name+loop)
			x.expect("ready")
			x.signal(sig)
			x.expect(name)
			x.exits(42)
		}
	})
}

func TestInterruptEndsTheCommand(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		x := p.runnel(t, "run", "--", "sh", "-c", "echo ready; exec sleep 1000")
		x.expect("ready")
		x.signal(syscall.SIGINT)
		x.exits(130)
	})
}

func TestThirdInterruptCancels(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		x := p.runnel(t, "run", "-c", "trap 'echo int' INT; trap 'echo term; exit 9' TERM"+loop)
		x.expect("ready")
		for range 2 {
			x.signal(syscall.SIGINT)
			x.expect("int")
		}
		x.signal(syscall.SIGINT)
		x.expect("term")
		x.exits(9)
	})
}

// A stdout that nobody reads holds up the connection, but not Ctrl-C; and one too many gives up.
func TestInterruptsPastABlockedStdout(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		log := p.path("log")
		x := p.runnel(t, "run", "-c", "trap 'echo int >>"+log+"' INT; trap 'echo term >>"+log+"' TERM; echo $$; yes & "+loop[1:])
		pid := x.line()
		for n := range 3 {
			x.signal(syscall.SIGINT)
			awaitLines(t, log, n+1)
		}
		x.signal(syscall.SIGINT)
		x.exits(130)
		x.says("interrupted")
		gone(t, pid)
	})
}

// What was started to ignore a signal, as by nohup(1), goes on doing so.
func TestIgnoredSignalsStayIgnored(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		x := p.start(t, "sh", "-c", `trap "" HUP; exec runnel run -- sh -c 'echo ready; read line; exit 5'`)
		x.expect("ready")
		x.signal(syscall.SIGHUP)
		_, _ = x.in.Write([]byte("go on\n"))
		x.exits(5)
	})
}
