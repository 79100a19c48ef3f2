package server

import (
	"cmp"
	"slices"
	"sync"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/stream"
)

// lane is one session's way to one connection: a cursor on its log, and what has to stay behind it.
type lane struct {
	outbox   *outbox
	session  Session
	att      Attachment
	enc      encoder
	finished func(*lane) // told when the last event of the session is in the buffer

	// These belong to the outbox's lock.
	open   bool // may take turns
	queued bool // waits for one

	mu     sync.Mutex
	at     int64    // the place up to which all is in the buffer or sent
	behind []behind // in the order of their places
	gone   bool
}

// behind is a reply that has to follow what it tells of.
type behind struct {
	seq    int64
	passed chan struct{}
}

// begin lets the lane take turns from now on.
func (l *lane) begin() {
	l.outbox.mu.Lock()
	l.outbox.open(l)
	l.outbox.mu.Unlock()
}

// open needs the outbox's lock. The lane's first turn finds out whether there is something.
func (o *outbox) open(l *lane) {
	if !l.open {
		l.open, l.queued = true, true
		o.ready = append(o.ready, l)
		o.signal()
	}
}

// passed is closed when all up to seq is in the connection's buffer, or the lane is gone; nil says that it is
// so already.
func (l *lane) passed(seq int64) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone || l.at >= seq {
		return nil
	}
	b := behind{seq, make(chan struct{})}
	at, _ := slices.BinarySearchFunc(l.behind, seq, func(b behind, seq int64) int { return cmp.Compare(b.seq, seq) })
	l.behind = slices.Insert(l.behind, at, b)
	return b.passed
}

// fill appends the next item as a frame, and reports whether there may be more.
func (l *lane) fill(buf []byte) ([]byte, bool) {
	it, ok := l.att.Next()
	if !ok {
		return buf, false
	}
	buf = l.enc.appendItem(buf, &it)
	l.reached(it.To)
	if _, last := it.Event.(*session.Record); last {
		l.finished(l)
		return buf, false
	}
	return buf, true
}

// reached notes how far the lane is and lets go of the replies that waited for it.
func (l *lane) reached(seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = seq
	for len(l.behind) > 0 && l.behind[0].seq <= seq {
		close(l.behind[0].passed)
		l.behind = l.behind[1:]
	}
}

// leave takes the lane off the connection. Replies that wait for it go out.
func (l *lane) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	for _, b := range l.behind {
		close(b.passed)
	}
	l.behind = nil
}

// streamNames are the types of process.output.
var streamNames = [...]string{stream.Stdout: rpc.StreamStdout, stream.Stderr: rpc.StreamStderr, stream.PTY: rpc.StreamPTY}
