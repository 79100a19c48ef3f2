package main

import (
	"context"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// paint shows the screen of the session's terminal.
func (e *execution) paint(s rpc.Screen) {
	defer e.tty.restoreAfterPanic()
	if e.isBegun() && e.tty != nil && e.tty.out != nil {
		e.handleWriteError(e.tty.write([]byte(s.Data)))
	}
}

// requestRepaint makes the execution paint the screen of its session again. It does not block.
func (e *execution) requestRepaint() { signalOnce(e.repaints) }

// repaintOnRequest paints the screen after requestRepaint, until ctx is done. If the server cannot paint
// it, what the terminal shows stays as it is.
func (e *execution) repaintOnRequest(ctx context.Context, s *client.Session) {
	defer e.tty.restoreAfterPanic()
	if e.tty.out == nil {
		return
	}
	for {
		select {
		case <-e.repaints:
			_ = s.Repaint(ctx)
		case <-ctx.Done():
			return
		}
	}
}
