package main

import (
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/creack/pty"

	"github.com/runnel-rpc/runnel/cmd/runnel/internal/tty"
)

// TestLeavingWithoutAServer: nobody could come back, so the command ends as with a closed terminal.
func TestLeavingWithoutAServer(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	s := p.onTerminal(t, defaultSize, "run", "-t", "--name", "shell", "-c", `trap 'echo hup; exit 5' HUP`+signalLoop)
	s.readUntil("ready\r\n")
	s.writeStdin("~.")
	s.readUntil("hup\r\n")
	s.expectExit(5)
	s.expectRestored(true)
}

// TestLeavingASession: a session that would end with its run continues when it is left. What was typed
// before arrives.
func TestLeavingASession(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	p.serve(t)
	s := p.onTerminal(t, defaultSize, "run", "-t", "--linger-detached", "2h", "-c", `echo ready; read x; echo "got $x"; exec sleep 1000`)
	s.readUntil("ready\r\n")
	s.writeStdin("typed\r~.")
	s.expectExit(0)
	s.expectRestored(true)
	text := s.stderrText()
	id, ok := strings.CutPrefix(strings.TrimSpace(text), "runnel: detached from ")
	if !ok {
		t.Fatalf("stderr is %q", text)
	}
	if !poll(func() bool {
		logs := p.runnel(t, "logs", id)
		return strings.Contains(logs.readAll(), "got typed\r\n")
	}) {
		t.Error("what was typed before ~. did not arrive")
	}
	ps := p.runnel(t, "ps")
	if list := ps.readAll(); !strings.Contains(list, " running ") || !regexp.MustCompile(` (2h0m0s|1h5\dm\d+s) `).MatchString(list) {
		t.Errorf("ps: %s", list)
	}
}

// TestAttachReadOnly: it forwards neither keys nor the size.
func TestAttachReadOnly(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	p.serve(t)
	p.runnel(t, "run", "-t", "--detach", "--name", "shell", "-c", `echo ready; read x; echo "got $x"; stty size`).expectExit(0)
	s := p.onTerminal(t, defaultSize, "attach", "--read-only", "shell")
	s.readUntil("ready")
	s.resize(pty.Winsize{Rows: 40, Cols: 120})
	s.writeStdin("typed\r")
	p.runnel(t, "write", "shell", "other").expectExit(0)
	s.readUntil("got other\r\n24 80\r\n")
	s.expectExit(0)
	s.expectRestored(true)
}

// TestDetachedTerminalSize: it has the size of the terminal of its run.
func TestDetachedTerminalSize(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	p.serve(t)
	s := p.onTerminal(t, pty.Winsize{Rows: 33, Cols: 111}, "run", "-t", "--detach", "-c", "stty size")
	id := strings.TrimSpace(s.readUntil("\n"))
	s.expectExit(0)
	attached := p.runnel(t, "attach", id)
	attached.expectLine("33 111\r")
	attached.expectExit(0)
}

// TestReplayOnATerminal: attach --after-seq prints old output, and does not forward what the terminal
// answers to it.
func TestReplayOnATerminal(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	p.serve(t)
	p.runnel(t, "run", "-t", "--detach", "--name", "shell", "-c", `printf '\033[6nready\n'; read x; echo "got $x"`).expectExit(0)
	s := p.onTerminal(t, defaultSize, "attach", "--after-seq", "0", "-i", "shell")
	s.expectExit(2)
	s.expectError("--after-seq prints old output")
	s = p.onTerminal(t, defaultSize, "attach", "--after-seq", "0", "shell")
	s.readUntil("\x1b[6nready")
	s.expectRestored(true)
	s.writeStdin("\x1b[1;1R\r")
	p.runnel(t, "write", "shell", "typed").expectExit(0)
	s.readUntil("got typed")
	s.expectExit(0)
	s = p.onTerminal(t, defaultSize, "attach", "shell") // it has ended: its screen is painted
	if text := s.readUntil("got typed"); strings.Contains(text, "\x1b[6n") {
		t.Errorf("a query is replayed: %q", text)
	}
	s.expectExit(0)
}

// TestObserverOnATerminal: who may only watch is told of --read-only.
func TestObserverOnATerminal(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	for _, role := range []string{"run", "observe"} {
		token := p.runnel(t, "token", "new", "alice", "--role", role, "--tokens=tokens").readAll()
		if err := os.WriteFile(p.path(role), []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.serve(t, "--tokens=tokens")
	p.runnel(t, "run", "--token-file=run", "-t", "--detach", "--name", "shell", "-c", "echo ready; read x").expectExit(0)
	s := p.onTerminal(t, defaultSize, "attach", "--token-file=observe", "shell")
	s.expectExit(exitRunnelFailed)
	s.expectError("--read-only watches the session")
	s.expectRestored(true)
	s = p.onTerminal(t, defaultSize, "attach", "--token-file=observe", "--read-only", "shell")
	s.readUntil("ready")
	s.signal(syscall.SIGTERM)
	s.expectExit(143)
	s.expectRestored(true)
}

// TestKeyboardKeepsKeys: the detach keys are found behind many keys that cannot be sent, and what nobody
// forwards any more is discarded.
func TestKeyboardKeepsKeys(t *testing.T) {
	var keys tty.DetachKeys
	if err := keys.UnmarshalText([]byte("~.")); err != nil {
		t.Fatal(err)
	}
	k, left := newKeyboard(keys, false), false
	typed := strings.Repeat("x\r", 10_000)
	k.read(t.Context(), iotest.OneByteReader(strings.NewReader(typed+"~.")), func() { left = true })
	got := ""
	for {
		b, ended, byKeys := k.take()
		if got += string(b); len(b) == 0 {
			if !ended || !byKeys || !left || got != typed {
				t.Errorf("ended %t, left %t and %t, %d bytes", ended, byKeys, left, len(got))
			}
			break
		}
	}
	k, left = newKeyboard(keys, false), false
	close(k.forwarded)
	k.read(t.Context(), strings.NewReader(strings.Repeat("x", 2*maxTyped)+"\r~."), func() { left = true })
	if len(k.typed) > maxTyped || !left {
		t.Errorf("%d bytes are kept, left: %t", len(k.typed), left)
	}
}

// TestInputOfASessionWithoutATerminal: attach -i on a terminal forwards the first line, too.
func TestInputOfASessionWithoutATerminal(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	p.serve(t)
	p.runnel(t, "run", "--detach", "--stdin", "--name", "lines", "--", "cat").expectExit(0)
	s := p.onTerminal(t, defaultSize, "attach", "-i", "lines")
	s.writeStdin("one\rtwo\r\x04")
	s.readUntil("two\r\n")
	s.expectExit(0)
	logs := p.runnel(t, "logs", "lines")
	expectEqual(t, logs.readAll(), "one\ntwo\n")
}
