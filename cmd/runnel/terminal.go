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

// The size of a command's terminal where there is none here.
const (
	defaultRows = 24
	defaultCols = 80
)

// terminal is this one, whose size that of the command follows.
type terminal struct {
	file  *os.File    // nil where stdin is none
	mode  *term.State // as it was found; nil where it is left as it is
	modes sync.Mutex  // one change of the mode at a time
	over  bool        // it is not made raw any more
}

// size is its size now; some terminals have none.
func (t *terminal) size() (rows, cols int, ok bool) {
	cols, rows, err := term.GetSize(int(t.file.Fd()))
	return rows, cols, err == nil && rows > 0 && cols > 0
}

// raw lets all that is typed through as it is.
func (t *terminal) raw() {
	if t == nil || t.mode == nil {
		return
	}
	t.modes.Lock()
	defer t.modes.Unlock()
	if !t.over {
		_, _ = term.MakeRaw(int(t.file.Fd()))
	}
}

// cooked makes the terminal what it was.
func (t *terminal) cooked() {
	if t == nil || t.mode == nil {
		return
	}
	t.modes.Lock()
	defer t.modes.Unlock()
	_ = term.Restore(int(t.file.Fd()), t.mode)
}

// restore makes the terminal what it was, for good.
func (t *terminal) restore() {
	t.modes.Lock()
	defer t.modes.Unlock()
	t.over = true
	_ = term.Restore(int(t.file.Fd()), t.mode)
}

// terminal gives the command a terminal of this one's size and type, and puts this one into raw mode until
// restore: what is typed is the command's, Ctrl-C too.
func (e *execution) terminal(p *rpc.ExecuteParams) (restore func(), err error) {
	e.tty = &terminal{}
	p.PTY = &rpc.PTY{Rows: defaultRows, Cols: defaultCols, Term: os.Getenv("TERM")}
	restore = func() {}
	fd := int(e.w.stdin.Fd())
	if !term.IsTerminal(fd) {
		return restore, nil
	}
	e.tty.file = e.w.stdin
	if rows, cols, ok := e.tty.size(); ok {
		p.PTY.Rows, p.PTY.Cols = rows, cols
	}
	if !e.stdin {
		return restore, nil
	}
	if e.tty.mode, err = term.MakeRaw(fd); err != nil {
		return nil, err
	}
	e.stops.tty = e.tty
	return e.tty.restore, nil
}

// follow tells the session each new size until ctx is done.
func (t *terminal) follow(ctx context.Context, s *client.Session) {
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
