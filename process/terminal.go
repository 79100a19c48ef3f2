package process

import (
	"cmp"
	"errors"

	"github.com/runnel-rpc/runnel/process/internal/terminal"
)

// DefaultTerm is the TERM of a terminal whose client does not set one.
const DefaultTerm = "xterm-256color"

// Terminal requests a pseudo-terminal (pty(7)). Rows and Cols are its size in characters, 1 to
// 65535 each; Term is the TERM of the command, "" for DefaultTerm.
type Terminal struct {
	Rows, Cols int
	Term       string
}

// ErrNoTerminal is returned by the methods for a terminal if the process has none.
var ErrNoTerminal = errors.New("process: not on a terminal")

// env returns env with the TERM of the terminal.
func (t *Terminal) env(env []string) []string { return terminal.Env(env, cmp.Or(t.Term, DefaultTerm)) }

// open opens the terminal.
func (t *Terminal) open() (stdio, error) {
	p, err := terminal.Open(t.Rows, t.Cols)
	return onPair(p), err
}

// onPair returns the descriptors of a terminal.
func onPair(p terminal.Pair) stdio {
	return stdio{child: [3]int{p.Slave, p.Slave, p.Slave}, parent: [3]int{p.Write, p.Read, -1}, terminal: true}
}

// Resize sets the size of the terminal in characters, 1 to 65535 each. If it differs, the kernel
// sends SIGWINCH to the foreground process group of the terminal. The error is ErrNoTerminal, or
// os.ErrClosed after Close.
func (p *Process) Resize(rows, cols int) error {
	return p.onMaster(func(fd int) error { return terminal.Resize(fd, rows, cols) })
}

// EOFKey returns the character that ends the input for a program that reads the terminal, if it is
// written at the beginning of a line: Ctrl-D, unless the tree has changed it. It is empty if the
// tree has disabled it. The errors are those of Resize.
func (p *Process) EOFKey() (key []byte, err error) {
	err = p.onMaster(func(fd int) (err error) {
		key, err = terminal.EOFKey(fd)
		return err
	})
	return key, err
}

// Echo reports whether the terminal echoes its input. The errors are those of Resize.
func (p *Process) Echo() (on bool, err error) {
	err = p.onMaster(func(fd int) (err error) {
		on, err = terminal.Echo(fd)
		return err
	})
	return on, err
}

// onMaster calls f with a descriptor of the master.
func (p *Process) onMaster(f func(fd int) error) error {
	if !p.terminal {
		return ErrNoTerminal
	}
	fd, _, err := p.stdout.file.Lock()
	if err != nil {
		return err
	}
	defer p.stdout.file.Unlock()
	return f(fd)
}
