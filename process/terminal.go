package process

import (
	"errors"
	"os"
	"strings"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// DefaultTerm is what TERM is on a terminal whose client says nothing else.
const DefaultTerm = "xterm-256color"

// Terminal asks for a pseudo-terminal (pty(7)). Rows and Cols are its size in characters, 1 to 65535 each;
// Term is what the child's TERM says of it, "" for DefaultTerm.
type Terminal struct {
	Rows, Cols int
	Term       string
}

// ErrNoTerminal is what the methods for a terminal return for a process that has none.
var ErrNoTerminal = errors.New("process: not on a terminal")

// env is env with the terminal's TERM in place of any other.
func (t *Terminal) env(env []string) []string {
	own := make([]string, 0, len(env)+1)
	for _, v := range env {
		if !strings.HasPrefix(v, "TERM=") {
			own = append(own, v)
		}
	}
	term := t.Term
	if term == "" {
		term = DefaultTerm
	}
	return append(own, "TERM="+term)
}

// open makes the pair. Its master is a single open file under two descriptors, one to read from and one to
// write to, so that either end of our work can be closed and interrupted without the other. The tree is hung
// up on when both are closed.
func (t *Terminal) open() (s stdio, err error) {
	s = stdio{child: [3]int{-1, -1, -1}, parent: [3]int{-1, -1, -1}}
	defer func() {
		if err != nil {
			s.closeChild()
			s.closeParent()
		}
	}()
	master, slave, err := pty.Open()
	if err != nil {
		return s, err
	}
	defer master.Close()
	defer slave.Close()
	if err = t.prepare(master); err != nil {
		return s, err
	}
	fd := -1
	if fd, err = duplicate(slave, false); err != nil {
		return s, err
	}
	s.child = [3]int{fd, fd, fd}
	for i := 0; i <= 1 && err == nil; i++ {
		s.parent[i], err = duplicate(master, true)
	}
	return s, err
}

// prepare sets the size, and that the terminal's own line editing erases characters of UTF-8 as a whole.
func (t *Terminal) prepare(master *os.File) error {
	if err := pty.Setsize(master, &pty.Winsize{Rows: uint16(t.Rows), Cols: uint16(t.Cols)}); err != nil {
		return err
	}
	mode, err := unix.IoctlGetTermios(int(master.Fd()), getTermios)
	if err != nil {
		return err
	}
	mode.Iflag |= unix.IUTF8
	return unix.IoctlSetTermios(int(master.Fd()), setTermios, mode)
}

// duplicate is another descriptor of f, which no child inherits by itself. Whether it blocks is the open
// file's, and so the same for both; package os opens files non-blocking, which no program expects of its
// terminal.
func duplicate(f *os.File, nonblock bool) (int, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return -1, err
	}
	if err := unix.SetNonblock(fd, nonblock); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Resize sets the size of the terminal in characters, 1 to 65535 each. If it is another one, the kernel
// sends SIGWINCH to the terminal's foreground group. Errors: ErrNoTerminal, os.ErrClosed after Close.
func (p *Process) Resize(rows, cols int) error {
	return p.onMaster(func(fd int) error {
		size := unix.Winsize{Row: uint16(rows), Col: uint16(cols)}
		return os.NewSyscallError("ioctl", unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &size))
	})
}

// EOFKey is the character that, typed now at the beginning of a line, ends what a reader of the terminal
// reads: Ctrl-D unless the tree has changed it. It is empty if the tree has switched it off. Errors: as of
// Resize.
func (p *Process) EOFKey() (key []byte, err error) {
	err = p.onMaster(func(fd int) error {
		mode, err := unix.IoctlGetTermios(fd, getTermios)
		if err != nil {
			return os.NewSyscallError("ioctl", err)
		}
		if c := mode.Cc[unix.VEOF]; c != noKey {
			key = []byte{c}
		}
		return nil
	})
	return key, err
}

// Echo reports whether the terminal echoes what is typed. Errors: as of Resize.
func (p *Process) Echo() (on bool, err error) {
	err = p.onMaster(func(fd int) error {
		mode, err := unix.IoctlGetTermios(fd, getTermios)
		if err != nil {
			return os.NewSyscallError("ioctl", err)
		}
		on = mode.Lflag&unix.ECHO != 0
		return nil
	})
	return on, err
}

func (p *Process) onMaster(f func(fd int) error) error {
	if !p.terminal {
		return ErrNoTerminal
	}
	var failed error
	if err := p.stdout.conn.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return os.ErrClosed
	}
	return failed
}
