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
	stream   bool
	window   int64
	finished func(*lane) // told when the last event of the session is in the buffer

	// These belong to the outbox's lock.
	open   bool // may take turns
	queued bool // waits for one

	rest stream.Item // what the newest item still has to send; the outbox's own

	mu     sync.Mutex
	at     int64    // the place up to which all is in the buffer or sent
	behind []behind // in the order of their places
	gone   bool

	reading Cursor // where the newest read is, for a lane without output
}

// behind is a reply that has to follow what it tells of.
type behind struct {
	seq    int64
	passed chan struct{}
}

// attachOptions say what a connection gets of a session.
type attachOptions struct {
	stream bool  // output too
	drop   bool  // the connection loses output rather than hold up the process
	after  int64 // the place behind which to begin
	window int64 // of output without an ack; 0 is any
	move   bool  // an attachment that is there already begins anew
}

// attachedAs is what a client says of how it takes output, window nil for any.
func attachedAs(slowClient string, window *int64) attachOptions {
	o := attachOptions{drop: slowClient == rpc.SlowClientDrop}
	if window != nil {
		o.window = *window
	}
	return o
}

func newLane(c *conn, s Session, o attachOptions) *lane {
	l := &lane{outbox: c.outbox, session: s, finished: c.finished, stream: o.stream, window: o.window, at: o.after}
	l.enc = newEncoder(s.Spec(), c.dialect)
	l.att = s.Attach(session.AttachOptions{
		Cursor: stream.CursorOptions{
			After:      o.after,
			Notes:      true,
			Block:      o.stream && !o.drop,
			EventsOnly: !o.stream,
			Window:     o.window,
			Ready:      func() { c.outbox.turn(l) },
		},
		Evicted: func() { c.evicted(l) },
	})
	return l
}

// replace takes the place of old, whose replies wait for this one now.
func (l *lane) replace(old *lane) {
	old.att.Detach()
	old.mu.Lock()
	l.behind, old.behind = old.behind, nil
	old.mu.Unlock()
	old.leave()
	l.reached(l.at)
}

// readFrom says that a read began at seq. The session of a lane without output is held up by its reads.
func (l *lane) readFrom(seq int64) {
	if l.stream {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.gone:
	case l.reading == nil:
		l.reading = l.session.Cursor(stream.CursorOptions{After: seq, Block: true})
	default:
		l.reading.Advance(seq)
	}
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
	it, ok := l.next()
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

// next takes the next item, or the next line of one.
func (l *lane) next() (it stream.Item, ok bool) {
	if it, ok = l.rest, l.rest.Data != nil; !ok {
		if it, ok = l.att.Next(); !ok {
			return it, false
		}
	}
	if l.enc.lines && l.enc.dialect.byLine {
		it, l.rest = firstLine(it)
	}
	return it, true
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
	if l.reading != nil {
		l.reading.Close()
	}
	for _, b := range l.behind {
		close(b.passed)
	}
	l.behind = nil
}

// streamNames are the types of process.output.
var streamNames = [...]string{stream.Stdout: rpc.StreamStdout, stream.Stderr: rpc.StreamStderr, stream.PTY: rpc.StreamPTY}
