package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/term"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// The size of a command's terminal if stdin is not a terminal.
const (
	defaultRows = 24
	defaultCols = 80
)

// terminal is the terminal of this process. The command's terminal gets the same size. A nil
// terminal is valid for raw and cooked.
type terminal struct {
	file     *os.File    // nil if stdin is not a terminal
	original *term.State // the mode at the start; nil if the mode is not changed
	mu       sync.Mutex  // held while the mode is changed
	restored bool        // the mode is not changed any more
}

// size returns the current size. Ok is false if the terminal has none.
func (t *terminal) size() (rows, cols int, ok bool) {
	cols, rows, err := term.GetSize(int(t.file.Fd()))
	return rows, cols, err == nil && rows > 0 && cols > 0
}

// raw sets raw mode (termios(3)).
func (t *terminal) raw() {
	if t == nil || t.original == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.restored {
		_, _ = term.MakeRaw(int(t.file.Fd()))
	}
}

// cooked sets the original mode until the next call of raw.
func (t *terminal) cooked() {
	if t == nil || t.original == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = term.Restore(int(t.file.Fd()), t.original)
}

// restore sets the original mode. Later calls of raw have no effect.
func (t *terminal) restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.restored = true
	_ = term.Restore(int(t.file.Fd()), t.original)
}

// useTerminal gives the command a terminal with the size and the type of this process's one, which
// it sets to raw mode until restore is called: all keys, Ctrl-C too, are sent to the command's
// terminal.
func (e *execution) useTerminal(p *rpc.ExecuteParams) (restore func(), err error) {
	e.tty = &terminal{}
	p.PTY = &rpc.PTY{Rows: defaultRows, Cols: defaultCols, Term: os.Getenv("TERM")}
	restore = func() {}
	fd := int(e.inv.stdin.Fd())
	if !term.IsTerminal(fd) {
		return restore, nil
	}
	e.tty.file = e.inv.stdin
	if rows, cols, ok := e.tty.size(); ok {
		p.PTY.Rows, p.PTY.Cols = rows, cols
	}
	if !e.stdin {
		return restore, nil
	}
	if e.tty.original, err = term.MakeRaw(fd); err != nil {
		return nil, err
	}
	e.jobControl.tty = e.tty
	return e.tty.restore, nil
}

// followSize sends the size, and each change of it, to the session until ctx is done.
func (t *terminal) followSize(ctx context.Context, s *client.Session) {
	if t.file == nil {
		return
	}
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	defer signal.Stop(changed)
	for {
		if rows, cols, ok := t.size(); ok {
			_ = s.Resize(ctx, rows, cols)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
