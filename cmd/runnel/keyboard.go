package main

import (
	"context"
	"io"
	"slices"
	"sync"

	"github.com/runnel-rpc/runnel/cmd/runnel/internal/tty"
	"github.com/runnel-rpc/runnel/rpc/client"
)

const (
	// maxTyped is how many bytes of what is typed are kept while they cannot be sent. While there are so many,
	// no key is read, the detach keys neither.
	maxTyped = 1 << 20
	// typedBytes is the most that is read, or forwarded, at once.
	typedBytes = 4 << 10
	// ctrlC is what Ctrl-C sends in raw mode.
	ctrlC = 3
)

// keyboard reads the terminal of this process in raw mode.
type keyboard struct {
	filter    tty.KeyFilter
	readOnly  bool          // nothing is forwarded, and Ctrl-C leaves
	forwarded chan struct{} // closed when all that was typed was sent, or could not be
	changed   chan struct{} // has an element if there is more to take
	room      chan struct{} // has an element if something was taken

	mu    sync.Mutex
	typed []byte // to be forwarded
	ended bool   // there are no more keys
	left  bool   // the detach keys were typed; set before ended
}

func newKeyboard(keys tty.DetachKeys, readOnly bool) *keyboard {
	return &keyboard{
		filter:    tty.KeyFilter{DetachKeys: keys},
		readOnly:  readOnly,
		forwarded: make(chan struct{}),
		changed:   make(chan struct{}, 1),
		room:      make(chan struct{}, 1),
	}
}

// read reads the keys until ctx is done, the terminal is closed, or the detach keys are typed. Then it
// calls leave. It reads on while there is no connection.
func (k *keyboard) read(ctx context.Context, stdin io.Reader, leave func()) {
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
		if more := k.put(ctx, forward); more && !left && err == nil {
			continue
		}
		k.end(left)
		if left {
			leave()
		}
		return
	}
}

// put adds what was typed. It waits for room, and discards what nobody forwards any more. It returns false
// if ctx is done.
func (k *keyboard) put(ctx context.Context, b []byte) bool {
	for {
		k.mu.Lock()
		n := min(len(b), maxTyped-len(k.typed))
		k.typed = append(k.typed, b[:n]...)
		k.mu.Unlock()
		signalOnce(k.changed)
		if b = b[n:]; len(b) == 0 {
			return ctx.Err() == nil
		}
		select {
		case <-k.room:
		case <-k.forwarded:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

func (k *keyboard) end(left bool) {
	k.mu.Lock()
	k.left, k.ended = left, true
	k.mu.Unlock()
	signalOnce(k.changed)
}

// take returns what is to be forwarded next. If that is nothing, ended says that nothing follows, and left
// that it is because of the detach keys.
func (k *keyboard) take() (b []byte, ended, left bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := min(len(k.typed), typedBytes)
	b = slices.Clone(k.typed[:n])
	if k.typed = k.typed[n:]; len(k.typed) == 0 {
		k.typed = nil
	}
	signalOnce(k.room)
	return b, k.ended, k.left
}

// signalOnce signals a channel with room for one element, unless it has one already.
func signalOnce(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// forwardKeys forwards what is typed to the session. When the terminal is closed, it leaves a session
// that lives on; another one gets the end of its input.
func (e *execution) forwardKeys(ctx context.Context, abort context.CancelCauseFunc, s *client.Session) {
	defer e.tty.restoreAfterPanic()
	defer close(e.keyboard.forwarded)
	w := e.stdinWriter(ctx, abort, s)
	for {
		b, ended, left := e.keyboard.take()
		switch {
		case len(b) > 0:
			if _, err := w.Write(b); err != nil {
				e.checkInput(abort, err)
				return
			}
			continue
		case !ended:
			select {
			case <-e.keyboard.changed:
			case <-ctx.Done():
				return
			}
			continue
		case left:
		case e.livesOn:
			e.requestLeave()
		default:
			e.checkInput(abort, w.Close())
		}
		return
	}
}
