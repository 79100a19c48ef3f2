package main

import (
	"bufio"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// terminalProgram is a program on a terminal.
type terminalProgram struct {
	*program
	t       *testing.T
	master  *os.File // of the pseudo-terminal
	slave   *os.File // the program's end
	initial *term.State
}

// onTerminal runs runnel as a session leader with a controlling terminal of that size. Its stderr
// is a file.
func (p *testDir) onTerminal(t *testing.T, size pty.Winsize, args ...string) *terminalProgram {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = master.Close(), slave.Close() })
	s := &terminalProgram{program: p.prepare(t, "runnel", args...), t: t, master: master, slave: slave}
	s.resize(size)
	if s.initial, err = term.GetState(int(slave.Fd())); err != nil {
		t.Fatal(err)
	}
	s.Env = append(s.Env, "TERM=vt220")
	s.Stdin, s.Stdout, s.in, s.out = slave, slave, master, bufio.NewReader(master)
	s.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	s.startPrepared()
	return s
}

func (s *terminalProgram) resize(size pty.Winsize) {
	s.t.Helper()
	if err := pty.Setsize(s.master, &size); err != nil {
		s.t.Fatal(err)
	}
}

// expectRestored checks whether the terminal has its initial settings.
func (s *terminalProgram) expectRestored(want bool) {
	s.t.Helper()
	now, err := term.GetState(int(s.slave.Fd()))
	if err != nil {
		s.t.Fatal(err)
	}
	if got := reflect.DeepEqual(now, s.initial); got != want {
		s.t.Errorf("the terminal has its initial settings: %t, want %t", got, want)
	}
}

var defaultSize = pty.Winsize{Rows: 30, Cols: 100}

func TestTerminalSizeAndType(t *testing.T) {
	withAndWithoutServer(t, func(t *testing.T, p *testDir) {
		s := p.onTerminal(t, pty.Winsize{Rows: 33, Cols: 111}, "run", "-t", "-c", `trap 'stty size' WINCH; tty -s && stty size; echo $TERM`+signalLoop)
		s.readUntil("33 111\r\nvt220\r\nready\r\n")
		s.resize(pty.Winsize{Rows: 44, Cols: 122})
		s.readUntil("44 122\r\n")
		s.writeStdin("\x03")
		s.expectExit(130)
	})
}

func TestKeysAreSentToTheCommand(t *testing.T) {
	withAndWithoutServer(t, func(t *testing.T, p *testDir) {
		s := p.onTerminal(t, defaultSize, "run", "--pty", "--", "sh", "-c", `trap 'echo int; exit 7' INT`+signalLoop)
		s.readUntil("ready\r\n")
		s.writeStdin("\x03")
		s.readUntil("^Cint\r\n") // echoed once, by the command's terminal
		s.expectExit(7)
		s.expectRestored(true)

		s = p.onTerminal(t, defaultSize, "run", "-t", "--", "sh", "-c", `stty raw -echo; echo ready; head -c 3 | od -An -tx1`)
		s.readUntil("ready\n")
		s.writeStdin("\x03\x1a\x04")
		s.readUntil("03 1a 04\n")
		s.expectExit(0)

		s = p.onTerminal(t, defaultSize, "run", "-t", "--", "cat")
		s.writeStdin("hello\r")
		s.readUntil("hello\r\nhello\r\n")
		s.writeStdin("\x04")
		s.expectExit(0)
	})
}

func TestTerminalIsEightBitClean(t *testing.T) {
	withAndWithoutServer(t, func(t *testing.T, p *testDir) {
		var want, escaped strings.Builder
		for b := range 256 {
			want.WriteByte(byte(b))
			escaped.WriteString(`\0` + string([]byte{byte('0' + b>>6), byte('0' + b>>3&7), byte('0' + b&7)}))
		}
		s := p.onTerminal(t, defaultSize, "run", "-t", "--", "sh", "-c", `stty raw -echo; echo ready; printf '%b' "$0"; read line`, escaped.String())
		s.readUntil("ready\n")
		s.readUntil(want.String())
		s.writeStdin("\n")
		s.expectExit(0)
	})
}

// TestTerminalIsRestored: run restores the settings of the terminal, however it ends.
func TestTerminalIsRestored(t *testing.T) {
	for name, end := range map[string]struct {
		command string
		how     func(s *terminalProgram)
		status  int
	}{
		"exit":          {"echo ready; exit 3", func(*terminalProgram) {}, 3},
		"killed":        {"echo ready; kill -KILL $$", func(*terminalProgram) {}, 137},
		"SIGTERM":       {"echo ready; exec sleep 1000", func(s *terminalProgram) { s.signal(syscall.SIGTERM) }, 143},
		"SIGHUP":        {"echo ready; exec sleep 1000", func(s *terminalProgram) { s.signal(syscall.SIGHUP) }, 129},
		"interrupted":   {"trap 'echo int' INT; trap 'echo term' TERM" + signalLoop, (*terminalProgram).interruptFourTimes, 130},
		"not a program": {"", func(*terminalProgram) {}, 127},
	} {
		t.Run(name, func(t *testing.T) {
			withAndWithoutServer(t, func(t *testing.T, p *testDir) {
				s := p.onTerminal(t, defaultSize, "run", "-t", "-c", "read go; "+end.command)
				if end.command == "" {
					s = p.onTerminal(t, defaultSize, "run", "-t", "--", "no-such-program")
				} else {
					s.awaitRaw()
					s.writeStdin("\r")
					s.readUntil("ready\r\n")
					end.how(s)
				}
				s.expectExit(end.status)
				s.expectRestored(true)
			})
		})
	}
}

// awaitRaw waits until the settings of the terminal have changed.
func (s *terminalProgram) awaitRaw() {
	s.t.Helper()
	if !poll(func() bool {
		now, err := term.GetState(int(s.slave.Fd()))
		return err == nil && !reflect.DeepEqual(now, s.initial)
	}) {
		s.t.Fatal("the settings have not changed")
	}
}

// interruptFourTimes sends SIGINTs until run exits, to a command that does not exit on SIGINT and
// SIGTERM.
func (s *terminalProgram) interruptFourTimes() {
	for _, answer := range []string{"int", "int", "term"} {
		s.signal(syscall.SIGINT)
		s.readUntil(answer + "\r\n")
	}
	s.signal(syscall.SIGINT)
}

func TestTerminalIsRestoredAfterAServerCrash(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, _ := p.serve(t)
	s := p.onTerminal(t, defaultSize, "run", "-t", "-c", "echo ready; exec sleep 1000")
	s.readUntil("ready\r\n")
	s.expectRestored(false)
	server.signal(syscall.SIGKILL)
	s.expectExit(125)
	s.expectError("lost the server")
	s.expectRestored(true)
}

// TestClosedTerminalEndsTheCommand: run forwards the SIGHUP of a closed terminal.
func TestClosedTerminalEndsTheCommand(t *testing.T) {
	withAndWithoutServer(t, func(t *testing.T, p *testDir) {
		s := p.onTerminal(t, defaultSize, "run", "-t", "-c", "echo $$; echo ready; exec sleep 1000")
		pid := strings.TrimSpace(s.readUntil("ready\r\n"))
		_, _ = s.slave.Close(), s.master.Close()
		s.expectExit(129)
		awaitExit(t, pid)
	})
}

func TestTerminalWithoutATerminalOfRun(t *testing.T) {
	withAndWithoutServer(t, func(t *testing.T, p *testDir) {
		x := p.runnel(t, "run", "-t", "-c", "stty size; cat; exit 8")
		x.expectLine("24 80\r")
		x.writeStdin("typed\n")
		x.expectLine("typed\r")
		x.expectLine("typed\r")
		_ = x.in.Close()
		x.expectExit(8)
	})
}
