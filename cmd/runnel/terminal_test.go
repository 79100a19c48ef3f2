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

// screen is the terminal of a program.
type screen struct {
	*program
	t       *testing.T
	keys    *os.File // what types on it and sees it
	tty     *os.File // the program's end
	initial *term.State
}

// onTerminal runs runnel as the leader of a terminal of that size. Its stderr is not on it.
func (p *place) onTerminal(t *testing.T, size pty.Winsize, args ...string) *screen {
	t.Helper()
	keys, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = keys.Close(), tty.Close() })
	s := &screen{program: p.prepare(t, "runnel", args...), t: t, keys: keys, tty: tty}
	s.resize(size)
	if s.initial, err = term.GetState(int(tty.Fd())); err != nil {
		t.Fatal(err)
	}
	s.Env = append(s.Env, "TERM=vt220")
	s.Stdin, s.Stdout, s.in, s.out = tty, tty, keys, bufio.NewReader(keys)
	s.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	s.begin()
	return s
}

func (s *screen) resize(size pty.Winsize) {
	s.t.Helper()
	if err := pty.Setsize(s.keys, &size); err != nil {
		s.t.Fatal(err)
	}
}

// restored checks whether the terminal has the settings that it had.
func (s *screen) restored(want bool) {
	s.t.Helper()
	now, err := term.GetState(int(s.tty.Fd()))
	if err != nil {
		s.t.Fatal(err)
	}
	if got := reflect.DeepEqual(now, s.initial); got != want {
		s.t.Errorf("the settings are those of before: %t, want %t", got, want)
	}
}

var ordinary = pty.Winsize{Rows: 30, Cols: 100}

func TestTerminalFollowsThisOne(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s := p.onTerminal(t, pty.Winsize{Rows: 33, Cols: 111}, "run", "-t", "-c", `trap 'stty size' WINCH; tty -s && stty size; echo $TERM`+loop)
		s.until("33 111\r\nvt220\r\nready\r\n")
		s.resize(pty.Winsize{Rows: 44, Cols: 122})
		s.until("44 122\r\n")
		s.types("\x03")
		s.exits(130)
	})
}

func TestWhatIsTypedIsTheCommands(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s := p.onTerminal(t, ordinary, "run", "--pty", "--", "sh", "-c", `trap 'echo int; exit 7' INT`+loop)
		s.until("ready\r\n")
		s.types("\x03")
		s.until("^Cint\r\n") // echoed by the command's terminal alone
		s.exits(7)
		s.restored(true)

		s = p.onTerminal(t, ordinary, "run", "-t", "--", "sh", "-c", `stty raw -echo; echo ready; head -c 3 | od -An -tx1`)
		s.until("ready\n")
		s.types("\x03\x1a\x04")
		s.until("03 1a 04\n")
		s.exits(0)

		s = p.onTerminal(t, ordinary, "run", "-t", "--", "cat")
		s.types("hello\r")
		s.until("hello\r\nhello\r\n")
		s.types("\x04")
		s.exits(0)
	})
}

func TestTerminalIsEightBitClean(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		var want, escaped strings.Builder
		for b := range 256 {
			want.WriteByte(byte(b))
			escaped.WriteString(`\0` + string([]byte{byte('0' + b>>6), byte('0' + b>>3&7), byte('0' + b&7)}))
		}
		s := p.onTerminal(t, ordinary, "run", "-t", "--", "sh", "-c", `stty raw -echo; echo ready; printf '%b' "$0"; read line`, escaped.String())
		s.until("ready\n")
		s.until(want.String())
		s.types("\n")
		s.exits(0)
	})
}

// However run ends, whoever uses the terminal next finds it as it was.
func TestTerminalIsRestored(t *testing.T) {
	for name, end := range map[string]struct {
		command string
		how     func(s *screen)
		status  int
	}{
		"exit":          {"echo ready; exit 3", func(*screen) {}, 3},
		"killed":        {"echo ready; kill -KILL $$", func(*screen) {}, 137},
		"SIGTERM":       {"echo ready; exec sleep 1000", func(s *screen) { s.signal(syscall.SIGTERM) }, 143},
		"SIGHUP":        {"echo ready; exec sleep 1000", func(s *screen) { s.signal(syscall.SIGHUP) }, 129},
		"given up":      {"trap 'echo int' INT; trap 'echo term' TERM" + loop, (*screen).abort, 130},
		"not a program": {"", func(*screen) {}, 127},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, p *place) {
				s := p.onTerminal(t, ordinary, "run", "-t", "-c", "read go; "+end.command)
				if end.command == "" {
					s = p.onTerminal(t, ordinary, "run", "-t", "--", "no-such-program")
				} else {
					s.raw()
					s.types("\r")
					s.until("ready\r\n")
					end.how(s)
				}
				s.exits(end.status)
				s.restored(true)
			})
		})
	}
}

// raw waits until the terminal has other settings than it had.
func (s *screen) raw() {
	s.t.Helper()
	if !poll(func() bool {
		now, err := term.GetState(int(s.tty.Fd()))
		return err == nil && !reflect.DeepEqual(now, s.initial)
	}) {
		s.t.Fatal("not raw")
	}
}

func (s *screen) abort() {
	for _, answer := range []string{"int", "int", "term"} {
		s.signal(syscall.SIGINT)
		s.until(answer + "\r\n")
	}
	s.signal(syscall.SIGINT)
}

func TestTerminalIsRestoredWhenTheServerDies(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	server, _ := p.serve(t)
	s := p.onTerminal(t, ordinary, "run", "-t", "-c", "echo ready; exec sleep 1000")
	s.until("ready\r\n")
	s.restored(false)
	server.signal(syscall.SIGKILL)
	s.exits(125)
	s.says("lost the server")
	s.restored(true)
}

// A terminal that is closed hangs up its programs.
func TestClosedTerminalEndsTheCommand(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s := p.onTerminal(t, ordinary, "run", "-t", "-c", "echo $$; echo ready; exec sleep 1000")
		pid := strings.TrimSpace(s.until("ready\r\n"))
		_, _ = s.tty.Close(), s.keys.Close()
		s.exits(129)
		gone(t, pid)
	})
}

func TestTerminalWhereThereIsNone(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		x := p.runnel(t, "run", "-t", "-c", "stty size; cat; exit 8")
		x.expect("24 80\r")
		x.types("typed\n")
		x.expect("typed\r")
		x.expect("typed\r")
		_ = x.in.Close()
		x.exits(8)
	})
}
