//go:build linux

package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestTerminalsOverAnOutage: two clients are attached to an editor over a network that stalls, and later
// resets its connections. What was typed before arrives once, and both show the right screen afterwards.
func TestTerminalsOverAnOutage(t *testing.T) {
	t.Parallel()
	needPrograms(t, "vim")
	p := newTestDir(t)
	_, ready := p.serve(t, "--ping-interval=500ms")
	proxy, url := newProxy(t, ready.URL)
	x := newTmux(t, p)
	x.numberedFile("text", 100)
	vim := []string{"vim", "-u", "NONE", "-N", "-n", "text"}
	run := x.openShell(70, 12, quoteAll(append([]string{"runnel", "run", "-t", "--url", url, "--name", "editor", "--"}, vim...)))
	run.await("line 4 of")
	attached := x.openShell(70, 12, quoteAll([]string{"runnel", "attach", "--url", url, "editor"}))
	stayed := x.open(70, 12, vim...)
	for _, pane := range []*pane{attached, stayed} {
		pane.await("line 4 of")
	}
	for _, outage := range []struct {
		how  string
		fail func()
	}{{"stall", func() { proxy.stall(t) }}, {"reset", proxy.cut}} {
		run.text("Oby run " + outage.how) // one types while the other waits, since they share the cursor
		stayed.text("Oby run " + outage.how)
		attached.await("by run " + outage.how)
		outage.fail()
		run.text(" during")
		stayed.text(" during")
		for _, pane := range []*pane{run, attached} {
			pane.await(outage.how + " during")
		}
		attached.text(" attached")
		attached.keys("Escape")
		stayed.text(" attached")
		stayed.keys("Escape")
		run.text("jj")
		stayed.text("jj")
		stayed.keys("C-l")
		run.expectSame(stayed, outage.how+": run")
		attached.expectSame(stayed, outage.how+": attach")
	}
	run.text("\r~.")
	run.expectRestored(0)
	attached.text(":q!\r")
	attached.expectRestored(0)
}

// TestLeavingDuringAnOutage: ~. leaves while there is no server.
func TestLeavingDuringAnOutage(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	proxy, url := p.remote(t)
	x := newTmux(t, p)
	run := x.openShell(70, 12, "runnel run -t --url "+url+" --name shell -- sh -c 'echo ready; cat'")
	run.await("ready")
	attached := x.openShell(70, 12, "runnel attach --url "+url+" shell")
	attached.await("ready")
	proxy.shutDown()
	for _, pane := range []*pane{run, attached} {
		pane.await("reconnecting")
		if text := "\n" + pane.plain(); !strings.Contains(text, "\nrunnel: connection lost: ") {
			t.Errorf("the message is not on a line of its own: %s", text)
		}
		pane.text("\r~.")
		pane.await("runnel: detached from ")
		pane.expectRestored(0)
	}
	again := x.open(70, 12, "runnel", "attach", "shell")
	again.await("ready")
	ps := p.runnel(t, "ps")
	if text := ps.readAll(); strings.Contains(text, "LEFT") {
		t.Errorf("a session with a client has a time left: %s", text)
	}
	again.kill()
	if !poll(func() bool {
		ps := p.runnel(t, "ps")
		return strings.Contains(ps.readAll(), "23h5")
	}) {
		t.Error("ps does not show the time left")
	}
}

// TestWhatRestoresTheTerminal: attach restores the terminal, also the modes that the output has set,
// however it ends.
func TestWhatRestoresTheTerminal(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, _ := p.serve(t)
	const modes = `\033[?1049h\033[?25l\033[?1h\033=\033[?1000h\033[?2004h\033[2;5r\033[?6h\033(0\033[41m\033]2;of the command\a`
	x := newTmux(t, p)
	start := func(name, then string) {
		run := p.runnel(t, "run", "-t", "--detach", "--name", name, "-c", `printf "`+modes+`ready"
			while read line && test "$line"; do printf '\033]10;red\a\033]11;blue\a'; done; `+then) // a paint has no colors
		run.expectExit(0)
	}
	start("exits", "exit 3")
	start("stays", "exec sleep 1000")
	for _, c := range []struct {
		name, flags string
		end         func(pid string, pane *pane)
		status      int
	}{
		{"stays", "", func(_ string, pane *pane) { pane.text("~.") }, 0},
		{"stays", "--detach-keys ctrl-p,ctrl-q", func(_ string, pane *pane) { pane.keys("C-p", "C-q") }, 0},
		{"stays", "--read-only", func(_ string, pane *pane) { pane.text("~."); pane.await("detached from") }, 0},
		{"stays", "--read-only", func(_ string, pane *pane) { pane.keys("C-c") }, 0},
		{"stays", "", func(pid string, _ *pane) { kill(t, pid, syscall.SIGTERM) }, 143},
		{"stays", "", func(pid string, _ *pane) { kill(t, pid, syscall.SIGINT) }, 130},
		{"stays", "", func(pid string, _ *pane) { kill(t, pid, syscall.SIGHUP) }, 129},
		{"stays", "", func(pid string, _ *pane) { kill(t, pid, syscall.SIGQUIT) }, 131},
		{"exits", "", func(_ string, pane *pane) { pane.text("\r") }, 3},
		{"stays", "", func(string, *pane) { p.runnel(t, "signal", "stays", "KILL").expectExit(0) }, 137},
		{"lost", "", func(string, *pane) { server.signal(syscall.SIGKILL) }, 125},
	} {
		if c.name == "lost" {
			start("lost", "exec sleep 1000")
		}
		pane := x.openShell(60, 10, `sh -c 'echo $$ >pid; exec runnel attach `+c.flags+` `+c.name+`'`)
		for _, modes := range []string{"alternate 1 cursor 0", "title of the command", "colors #ff0000,#0000ff"} {
			if !poll(func() bool { return strings.Contains(pane.modes(), modes) }) {
				t.Fatalf("%s %s: the modes are %s", c.name, c.flags, pane.modes())
			}
			if strings.HasPrefix(modes, "title") {
				p.runnel(t, "write", c.name, "colors").expectExit(0)
			}
		}
		pid, err := os.ReadFile(p.path("pid"))
		if err != nil {
			t.Fatal(err)
		}
		c.end(strings.TrimSpace(string(pid)), pane)
		pane.expectRestored(c.status)
	}
}
