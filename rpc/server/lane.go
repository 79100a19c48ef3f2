package server

import (
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
	at     int64     // the place up to which all is in the buffer or sent
	behind []*behind // in the order of their places
	gone   bool
}

// behind is a reply that has to follow what it tells of.
type behind struct {
	seq  int64
	send func()
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

// after calls send when all up to seq is in the connection's buffer, or the lane is gone.
func (l *lane) after(seq int64, send func()) {
	l.mu.Lock()
	if !l.gone && l.at < seq {
		l.behind = append(l.behind, &behind{seq, send})
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	send()
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
	l.at = seq
	n := 0
	for n < len(l.behind) && l.behind[n].seq <= seq {
		n++
	}
	free := l.behind[:n]
	l.behind = l.behind[n:]
	l.mu.Unlock()
	for _, b := range free {
		b.send()
	}
}

// leave takes the lane off the connection. Replies that wait for it go out.
func (l *lane) leave() {
	l.mu.Lock()
	l.gone = true
	free := l.behind
	l.behind = nil
	l.mu.Unlock()
	for _, b := range free {
		b.send()
	}
}

// streamNames are the types of process.output.
var streamNames = [...]string{stream.Stdout: rpc.StreamStdout, stream.Stderr: rpc.StreamStderr, stream.PTY: rpc.StreamPTY}
