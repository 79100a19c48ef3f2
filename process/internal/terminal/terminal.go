// Package terminal opens and controls pseudo-terminals (pty(7)).
//
// The functions that take a descriptor take that of the master. They may be called from any
// goroutine while the descriptor is open.
package terminal

import (
	"os"
	"strings"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// Pair is a pseudo-terminal: file descriptors that are closed on exec.
type Pair struct {
	Slave int // blocking, as programs expect their terminal
	// Write and Read are two descriptors of the master, non-blocking, for the poller. One may be
	// closed, which interrupts the calls that are blocked in it, without the other. The processes
	// on the terminal are hung up (SIGHUP) when both are closed.
	Write, Read int
}

// Open opens a pseudo-terminal of a size in characters, 1 to 65535 each.
func Open(rows, cols int) (Pair, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return Pair{-1, -1, -1}, err
	}
	return newPair(master, slave, rows, cols)
}

// newPair closes both files.
func newPair(master, slave *os.File, rows, cols int) (p Pair, err error) {
	defer master.Close()
	defer slave.Close()
	p = Pair{-1, -1, -1}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	if err = setUp(master, rows, cols); err != nil {
		return p, err
	}
	if p.Slave, err = duplicate(slave, false); err != nil {
		return p, err
	}
	if p.Write, err = duplicate(master, true); err != nil {
		return p, err
	}
	p.Read, err = duplicate(master, true)
	return p, err
}

// Close closes all three descriptors.
func (p *Pair) Close() {
	for _, fd := range []*int{&p.Slave, &p.Write, &p.Read} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
}

// setUp sets the size, and IUTF8: an erase removes a whole UTF-8 character.
func setUp(master *os.File, rows, cols int) error {
	if err := pty.Setsize(master, &pty.Winsize{Rows: uint16(rows), Cols: uint16(cols)}); err != nil {
		return err
	}
	mode, err := unix.IoctlGetTermios(int(master.Fd()), getTermios)
	if err != nil {
		return err
	}
	mode.Iflag |= unix.IUTF8
	return unix.IoctlSetTermios(int(master.Fd()), setTermios, mode)
}

// duplicate returns another descriptor of f, closed on exec. O_NONBLOCK is a flag of the open file,
// and so the same for all its descriptors; package os opens files non-blocking.
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

// Env returns a copy of env in which TERM is term.
func Env(env []string, term string) []string {
	own := make([]string, 0, len(env)+1)
	for _, v := range env {
		if !strings.HasPrefix(v, "TERM=") {
			own = append(own, v)
		}
	}
	return append(own, "TERM="+term)
}

// Resize sets the size in characters, 1 to 65535 each. If it differs, the kernel sends SIGWINCH to
// the foreground process group.
func Resize(fd, rows, cols int) error {
	size := unix.Winsize{Row: uint16(rows), Col: uint16(cols)}
	return os.NewSyscallError("ioctl", unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &size))
}

// EOFKey returns the VEOF character (termios(3)), or nothing if it is disabled.
func EOFKey(fd int) (key []byte, err error) {
	mode, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, os.NewSyscallError("ioctl", err)
	}
	if c := mode.Cc[unix.VEOF]; c != disabled {
		key = []byte{c}
	}
	return key, nil
}

// Echo reports whether the terminal echoes input (ECHO of termios(3)).
func Echo(fd int) (bool, error) {
	mode, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return false, os.NewSyscallError("ioctl", err)
	}
	return mode.Lflag&unix.ECHO != 0, nil
}
