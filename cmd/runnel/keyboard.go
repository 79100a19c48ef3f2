package main

import (
	"context"
	"io"
	"slices"

	"github.com/runnel-rpc/runnel/cmd/runnel/internal/tty"
	"github.com/runnel-rpc/runnel/rpc/client"
)

const (
	// typedReads is how many reads of the keyboard are kept while they cannot be sent; one has at most
	// typedBytes. While so many are kept, no key is read, the detach keys neither.
	typedReads = 64
	typedBytes = 4 << 10
	// ctrlC is what Ctrl-C sends in raw mode.
	ctrlC = 3
)

// keyboard reads the terminal of this process in raw mode.
type keyboard struct {
	filter    tty.KeyFilter
	readOnly  bool          // nothing is forwarded, and Ctrl-C leaves
	typed     chan []byte   // to be forwarded; closed when there are no more keys
	left      bool          // the detach keys were typed; set before typed is closed
	forwarded chan struct{} // closed when all of typed was sent, or could not be
}

func newKeyboard(keys tty.DetachKeys, readOnly bool) *keyboard {
	return &keyboard{
		filter:    tty.KeyFilter{DetachKeys: keys},
		readOnly:  readOnly,
		typed:     make(chan []byte, typedReads),
		forwarded: make(chan struct{}),
	}
}

// read reads the keys until ctx is done, the terminal is closed, or the detach keys are typed. Then it
// calls leave. It reads on while there is no connection.
func (k *keyboard) read(ctx context.Context, stdin io.Reader, leave func()) {
	defer close(k.typed)
	buf := make([]byte, typedBytes)
	for {
		n, err := stdin.Read(buf)
		forward, left := k.filter.Filter(buf[:n])
		if k.readOnly {
			left = left || slices.Contains(buf[:n], ctrlC)
			forward = nil
		} else if err != nil {
			forward = append(forward, k.filter.Rest()...)
		}
		if len(forward) > 0 {
			select {
			case k.typed <- forward:
			case <-ctx.Done():
				return
			}
		}
		if left {
			k.left = true
			leave()
		}
		if left || err != nil {
			return
		}
	}
}

// forwardKeys forwards what is typed to the session. When the terminal is closed, it leaves a session
// that lives on; another one gets the end of its input.
func (e *execution) forwardKeys(ctx context.Context, abort context.CancelCauseFunc, s *client.Session) {
	defer e.tty.restoreAfterPanic()
	defer close(e.keyboard.forwarded)
	w := e.stdinWriter(ctx, abort, s)
	for {
		select {
		case b, more := <-e.keyboard.typed:
			switch {
			case more:
				if _, err := w.Write(b); err != nil {
					e.checkInput(abort, err)
					return
				}
				continue
			case e.keyboard.left:
			case e.livesOn:
				e.requestLeave()
			default:
				e.checkInput(abort, w.Close())
			}
			return
		case <-ctx.Done():
			return
		}
	}
}
