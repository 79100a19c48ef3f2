package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/runnel-rpc/runnel/cmd/runnel/internal/tty"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

const (
	// The size of a command's terminal if stdin is not a terminal.
	defaultRows = 24
	defaultCols = 80
	// unwritableTimeout bounds the wait for a terminal that accepts no output before a message is dropped,
	// or its modes are not reset.
	unwritableTimeout = time.Second
)

// terminal is the terminal of this process. The command's terminal gets the same size. A nil
// terminal is valid for raw, cooked, isRaw and restore.
type terminal struct {
	file     *os.File    // nil if stdin is not a terminal
	out      *os.File    // stdout; nil if it is not a terminal
	original *term.State // the mode at the start; nil if the mode is not changed
	begun    atomic.Bool // original is set
	mu       sync.Mutex  // held while the mode is changed
	restored bool        // the mode is not changed any more

	writing chan struct{} // has an element while out is written to
	closed  atomic.Bool   // nothing is written any more

	// Used by whoever writes.
	modes      tty.Modes // that the output has set
	used       bool      // something was written
	titleSaved bool      // before what was written since the last reset
}

// newTerminal returns the terminal of an invocation.
func newTerminal(inv *invocation) *terminal {
	t := &terminal{writing: make(chan struct{}, 1)}
	if isTerminal(inv.stdin) {
		t.file = inv.stdin
	}
	if out, ok := inv.stdout.(*os.File); ok && isTerminal(out) {
		t.out = out
	}
	return t
}

func isTerminal(f *os.File) bool {
	fd, err := descriptor(f)
	return err == nil && term.IsTerminal(fd)
}

// size returns the current size. Ok is false if there is no terminal, or it has none.
func (t *terminal) size() (rows, cols int, ok bool) {
	if t.file == nil {
		return 0, 0, false
	}
	cols, rows, err := term.GetSize(int(t.file.Fd()))
	return rows, cols, err == nil && rows > 0 && cols > 0
}

// begin sets raw mode (termios(3)) until restore.
func (t *terminal) begin() (err error) {
	t.original, err = term.MakeRaw(int(t.file.Fd()))
	t.begun.Store(err == nil)
	return err
}

// isRaw reports whether the mode is changed until restore.
func (t *terminal) isRaw() bool { return t != nil && t.begun.Load() }

// raw sets raw mode again after cooked. It returns false if the mode is not changed any more, or the terminal
// was closed.
func (t *terminal) raw() bool {
	if !t.isRaw() {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.restored {
		return false
	}
	_, err := term.MakeRaw(int(t.file.Fd()))
	return err == nil
}

// cooked sets the original mode, and resets what the output has set, until the next call of raw.
func (t *terminal) cooked() {
	if !t.isRaw() {
		return
	}
	if t.out != nil {
		t.reset(true)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = term.Restore(int(t.file.Fd()), t.original)
}

// write writes output of the session, and drops it after restore.
func (t *terminal) write(output []byte) error {
	t.writing <- struct{}{}
	defer func() { <-t.writing }()
	if t.closed.Load() {
		return nil
	}
	t.used = true
	if !t.titleSaved && hasTitle() {
		t.titleSaved = true
		output = append([]byte(tty.SaveTitle), output...)
	}
	_, _ = t.modes.Write(output)
	_, err := t.out.Write(output)
	return err
}

// hasTitle reports whether the terminal of this process knows control sequences, as one with a title does.
func hasTitle() bool {
	name := os.Getenv("TERM")
	return name != "" && name != "dumb"
}

// message writes a line of this process to w, a terminal that is in raw mode. It begins in a new line
// and with the default pen and charset.
func (t *terminal) message(w io.Writer, text string) {
	const plain = "\x18\x1b[0m\x0f" // CAN ends an unfinished sequence of the output
	select {
	case t.writing <- struct{}{}:
	case <-time.After(unwritableTimeout):
		return
	}
	defer func() { <-t.writing }()
	if !t.closed.Load() {
		_, _ = io.WriteString(w, plain+"\r\n"+text+"\r\n")
	}
}

// restore sets the original mode, and resets what the output has set. Later output is dropped, and
// later calls have no effect. With newLine, the cursor is then at the beginning of a line.
func (t *terminal) restore(newLine bool) {
	if t == nil || t.closed.Swap(true) {
		return
	}
	if t.out != nil {
		t.reset(newLine)
	}
	if !t.isRaw() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.restored = true
	_ = term.Restore(int(t.file.Fd()), t.original)
}

// restoreAfterPanic restores the terminal if the goroutine panics, and panics again. It is deferred by
// the goroutines that this process starts for a terminal.
func (t *terminal) restoreAfterPanic() {
	if t == nil {
		return
	}
	if v := recover(); v != nil {
		t.restore(true)
		panic(v)
	}
}

// reset writes what resets the modes, unless the terminal accepts no output.
func (t *terminal) reset(newLine bool) {
	timeout := time.After(unwritableTimeout)
	select {
	case t.writing <- struct{}{}:
	case <-timeout:
		return
	}
	text := t.modes.Reset()
	t.titleSaved = false
	if newLine && t.used {
		text = append(text, "\r\n\x1b[J"...)
	}
	done := make(chan struct{})
	go func() { // ends with the process if the terminal does not accept it
		defer close(done)
		_, _ = t.out.Write(text)
		<-t.writing
	}()
	select {
	case <-done:
	case <-timeout:
	}
}

// useTerminal gives the command a terminal with the size and the type of this process's one, which
// it sets to raw mode until restore is called: all keys, Ctrl-C too, are sent to the command's
// terminal.
func (e *execution) useTerminal(p *rpc.ExecuteParams, keys tty.DetachKeys) error {
	e.tty = newTerminal(e.inv)
	p.PTY = e.tty.params()
	if e.tty.file == nil || !e.stdin {
		return nil
	}
	if e.events.Output == nil { // --json: what is printed is not what a terminal shows
		e.tty.out = nil
	}
	e.jobControl.tty, e.keyboard = e.tty, newKeyboard(keys, false)
	return e.tty.begin()
}

// params returns a terminal of the same size and type.
func (t *terminal) params() *rpc.PTY {
	p := &rpc.PTY{Rows: defaultRows, Cols: defaultCols, Term: os.Getenv("TERM")}
	if rows, cols, ok := t.size(); ok {
		p.Rows, p.Cols = rows, cols
	}
	return p
}

// followSize sends each change of the size to the session until ctx is done. The session has the size
// of rows and cols. While this process is stopped, another client may change that.
func (t *terminal) followSize(ctx context.Context, s *client.Session, rows, cols int) {
	if t.file == nil {
		return
	}
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	defer signal.Stop(changed)
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	defer signal.Stop(continued)
	for {
		if r, c, ok := t.size(); ok && (r != rows || c != cols) {
			rows, cols = r, c
			_ = s.Resize(ctx, rows, cols)
		}
		select {
		case <-changed:
		case <-continued:
			rows, cols = 0, 0
		case <-ctx.Done():
			return
		}
	}
}
