//go:build linux

package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestStoppedTerminal: attach and run -t are stopped, as by the suspension of a laptop, for so long that the
// server closes the connection. The session continues. Afterwards they show its screen, and forward keys.
func TestStoppedTerminal(t *testing.T) {
	t.Parallel()
	needPrograms(t, "vim")
	for _, how := range []string{"attach", "attach --url", "run"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			p := newTestDir(t)
			server, ready := p.serve(t, "--ping-interval=400ms", "--log-level=debug")
			x := newTmux(t, p)
			x.sourceFile("source.c")
			const vim = "vim -u NONE -N -n -c 'syntax on' source.c"
			line := "runnel attach editor"
			if how == "attach --url" {
				line = "runnel attach --url " + ready.URL + " editor"
			}
			if how == "run" {
				line = "runnel run -t --url " + ready.URL + " --name editor -- " + vim
			} else {
				p.runnel(t, "run", "-t", "--detach", "--name", "editor", "--", "sh", "-c", "stty rows 12 cols 70; LC_ALL=C.UTF-8 TERM=screen-256color exec "+vim).expectExit(0)
			}
			first := x.openShell(70, 12, `sh -c 'echo $$ >pid; exec "$@"' - `+line)
			stayed := x.open(70, 12, "sh", "-c", vim)
			stayed.await("comment 3")
			first.await("comment 3")
			pid := p.readPID(t)
			connections := func() int {
				log := server.stderrText()
				return strings.Count(log, `"connected"`) - strings.Count(log, `"disconnected"`)
			}
			if !poll(func() bool { return connections() == 1 }) {
				t.Fatalf("the server has %d connections", connections())
			}
			kill(t, pid, syscall.SIGSTOP)
			if !poll(func() bool { return connections() == 0 }) {
				t.Fatal("the server has not closed the connection")
			}
			p.runnel(t, "write", "editor", "10Gzt/value\rohello").expectExit(0)
			kill(t, pid, syscall.SIGCONT)
			stayed.text("10Gzt/value\rohello\n")
			first.expectPaint(stayed, "after SIGCONT")
			for _, p := range []*pane{first, stayed} {
				p.text(" typed")
				p.keys("Escape")
			}
			first.expectPaint(stayed, "after keys")
			first.text(":q!\r")
			first.expectRestored(0)
		})
	}
}

// readPID reads the file pid.
func (p *testDir) readPID(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(p.path("pid"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// TestSuspendedTerminal: SIGTSTP suspends attach as it suspends a program that uses the whole screen: the shell has
// its terminal back, and fg continues with the session's screen. The session is not paused. After SIGSTOP, fg brings
// back the screen too.
func TestSuspendedTerminal(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	p.serve(t)
	x := newTmux(t, p)
	p.runnel(t, "run", "-t", "--detach", "--name", "shell", "-c",
		`stty rows 12 cols 70; printf '\033[?1049h\033[?1000h\033[?25l\033[2;5r\033[44mready'; while read x; do echo "got $x"; done`).expectExit(0)
	pane := x.open(70, 12, "env", "PS1=prompt> ", "bash", "--norc", "-i")
	pane.await("prompt>")
	pane.text("initial=$(stty -g)\r")
	unused := x.open(70, 12, "sleep", "1000")
	pane.text("sh -c 'echo $$ >pid; exec runnel attach shell'\r")
	pane.await("ready") // its size resets the scroll region
	watch := x.open(70, 12, "runnel", "attach", "--read-only", "shell")
	watch.await("ready")
	pane.expectPaint(watch, "after attach")
	pid := p.readPID(t)
	for _, sig := range []syscall.Signal{syscall.SIGTSTP, syscall.SIGSTOP} {
		kill(t, pid, sig)
		pane.await("Stopped")
		p.runnel(t, "write", "shell", sig.String()).expectExit(0)
		watch.await("got " + sig.String()) // it is not paused
		if sig == syscall.SIGTSTP {
			if got, want := pane.modes(), unused.modes(); got != want {
				t.Errorf("the shell has the modes\n%swant\n%s", got, want)
			}
			pane.text("test \"$(stty -g)\" = \"$initial\" && echo the settings are right\r")
			pane.await("\nthe settings are right")
		}
		pane.text("fg\r")
		pane.expectPaint(watch, "after fg")
		pane.text("typed after " + sig.String() + "\r")
		watch.await("got typed after " + sig.String())
		pane.expectPaint(watch, "after keys")
	}
	pane.text("~.")
	pane.await("runnel: detached from ")
}
